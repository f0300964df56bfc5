package natslock

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func TestDecodeRecord(t *testing.T) {
	r, err := decodeRecord(record{weight: 1, capacity: lock.All, value: []byte("a\nb")}.encode(), 7)
	require.NoError(t, err)
	require.Equal(t, record{7, 1, lock.All, []byte("a\nb")}, r, "a create has its own sequence as its order")
	r, err = decodeRecord(record{order: 7, weight: 2, capacity: 3}.encode(), 9)
	require.NoError(t, err)
	require.Equal(t, record{order: 7, weight: 2, capacity: 3}, r)
	for _, bad := range []string{
		"", "1", "1 0 1 1", "{}", "2 0 1 1\n", "1 0 1\n", "1 0 1 1 1\n", "1 -1 1 1\n", "1 8 1 1\n", "1 0 0 1\n", "1 0 2 1\n",
		"1 0 1 2147483648\n", "1 0 -1 1\n", "1 0 1e0 1\n", "1 9007199254740992 1 1\n", "1 99999999999999999999 1 1\n", "1  1 1\n",
	} {
		_, err := decodeRecord([]byte(bad), 7)
		require.ErrorIs(t, err, lock.ErrCorrupt, bad)
	}
	_, err = decodeRecord(record{weight: 1, capacity: 1}.encode(), maxToken)
	require.ErrorIs(t, err, lock.ErrCorrupt, "a token must stay below 2^53")
}

func TestTTLsAreWholeSeconds(t *testing.T) {
	for ttl, want := range map[time.Duration]string{
		time.Second: "1", time.Second + 1: "2", 1999 * time.Millisecond: "2", 2 * time.Second: "2", time.Hour: "3600", 1: "1",
	} {
		require.Equal(t, want, encodeTTL(ttl))
	}
	for _, bad := range []string{"", "0", "-1", "1s", "never", "3601", "99999999999"} {
		_, err := decodeTTL(bad)
		require.ErrorIs(t, err, lock.ErrCorrupt, bad)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte("1 0 2147483647 2147483647\n"), uint64(1))
	f.Add([]byte("1 7 1 2\nvalue\n"), uint64(9))
	f.Add([]byte("1 9007199254740992 1 2\n"), uint64(1<<60))
	f.Fuzz(func(t *testing.T, data []byte, seq uint64) {
		r, err := decodeRecord(data, seq)
		if err != nil {
			return
		}
		if r.order == 0 || r.order > seq || r.order >= maxToken || r.weight < 1 || r.weight > r.capacity || r.capacity > lock.All {
			t.Fatalf("a claim that cannot be: %+v", r)
		}
		again, err := decodeRecord(r.encode(), seq)
		if err != nil || again.order != r.order || again.weight != r.weight || !bytes.Equal(again.value, r.value) {
			t.Fatalf("%+v is kept as %+v, %v", r, again, err)
		}
	})
}
