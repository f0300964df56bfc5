package redislock

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func TestDecodeState(t *testing.T) {
	st, err := decodeState([]any{int64(lock.Held), "1763000000000000", int64(0)})
	require.NoError(t, err)
	require.Equal(t, lock.State{Phase: lock.Held, Token: 1763000000000000}, st)
	st, err = decodeState([]any{int64(lock.Queued), "0", int64(5000)})
	require.NoError(t, err)
	require.Equal(t, lock.State{Phase: lock.Queued, Look: 5*time.Millisecond + lookMargin}, st)
	for _, bad := range []any{
		nil, "OK", []any{}, []any{int64(3), "1"}, []any{"3", "1", int64(0)}, []any{int64(3), int64(1), int64(0)},
		[]any{int64(lock.Held), "0", int64(0)}, []any{int64(lock.Held), "-1", int64(0)}, []any{int64(lock.Held), "1e9", int64(0)},
		[]any{int64(lock.Held), "9007199254740992", int64(0)}, []any{int64(lock.Held), "99999999999999999999", int64(0)},
		[]any{int64(0), "1", int64(0)}, []any{int64(4), "1", int64(0)}, []any{int64(lock.Queued), "0", int64(-1)},
	} {
		_, err := decodeState(bad)
		require.ErrorIs(t, err, lock.ErrCorrupt, "%v", bad)
	}
}

func TestDecodeSnapshot(t *testing.T) {
	clock := []any{"1763000000", "5"}
	fields := []any{
		"t", "77",
		"hb", "\nid1 1 2147483647 7\nid2 1 2147483647 8\ndead 1 1 6", "xid1", "1763000001000005", "xid2", "1763000002000005",
		"xdead", "1763000000000005",
		"h", "\nid3 2147483647 2147483647 9", "xid3", "1763000009000005",
		"vid2", "value\n1 2 3", "vid9", "of a waiter", "qb", "\nid9 1 1 client", "qlonely", "\nid8 1 1 client",
	}
	v, err := decodeSnapshot([]any{clock, fields})
	require.NoError(t, err)
	require.Equal(t, time.Second, v.soonest)
	require.ElementsMatch(t, []lock.Holder{
		{Name: "b", ID: "id1", Token: 7, Weight: 1},
		{Name: "b", ID: "id2", Token: 8, Weight: 1, Value: []byte("value\n1 2 3")},
		{Name: "", ID: "id3", Token: 9, Weight: lock.All},
	}, v.holders)
	require.ElementsMatch(t, []string{"b", "lonely"}, v.dead)
	_, err = decodeSnapshot([]any{clock, map[any]any{"t": "1"}})
	require.NoError(t, err)

	good := "\nid1 1 1 7"
	for _, bad := range []string{
		"x", "\n", good + "x y", good + "\n", good[1:], "\nid1 1 1", "\nid1 0 1 7", "\nid1 1 1 0",
		"\nid1 1 1 9007199254740992", "\n 1 1 7", "\nid1 -1 1 7", "\nid1 1.5 1 7",
	} {
		_, err := decodeSnapshot([]any{clock, []any{"hb", bad, "xid1", "1763000001000005"}})
		require.ErrorIs(t, err, lock.ErrCorrupt, "%q", bad)
	}
	for _, bad := range []string{"x", "-1", "1e9", "9007199254740992"} {
		_, err := decodeSnapshot([]any{clock, []any{"hb", good, "xid1", bad}})
		require.ErrorIs(t, err, lock.ErrCorrupt, "%q", bad)
	}
	for _, bad := range []any{
		nil, []any{}, []any{clock}, []any{clock, []any{"hb"}}, []any{clock, []any{1, "x"}}, []any{[]any{"1"}, fields},
		[]any{[]any{"x", "1"}, fields}, []any{[]any{"-1", "1"}, fields}, []any{clock, map[any]any{"h": 1}}, []any{clock, "x"},
	} {
		_, err := decodeSnapshot(bad)
		require.ErrorIs(t, err, lock.ErrCorrupt, "%v", bad)
	}
}

func FuzzDecodePush(f *testing.F) {
	f.Add("0123abcd 1763000000000000")
	f.Add("id 9007199254740992")
	f.Add("id  7")
	f.Fuzz(func(t *testing.T, payload string) {
		id, token, ok := decodePush(payload)
		if !ok {
			return
		}
		if token == 0 || token >= maxToken || id == "" || strings.Contains(id, " ") {
			t.Fatalf("%q was taken as a grant of %d to %q", payload, token, id)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add("1763000000", "5", "hb", "\nid1 1 1 7", "xid1", "1763000001000005")
	f.Add("1", "1", "h", "\nid1 1 1 9007199254740992\n", "h", "")
	f.Fuzz(func(t *testing.T, sec, usec, f1, v1, f2, v2 string) {
		v, err := decodeSnapshot([]any{[]any{sec, usec}, []any{f1, v1, f2, v2}})
		if err != nil {
			return
		}
		if (v.soonest > 0) != (len(v.holders) > 0) {
			t.Fatalf("%d holders, the first ends in %v", len(v.holders), v.soonest)
		}
		for _, h := range v.holders {
			if h.Token == 0 || h.Token >= maxToken || h.Weight < 1 || h.ID == "" {
				t.Fatalf("a holder that cannot be: %+v", h)
			}
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add(int64(3), "1763000000000000", int64(0))
	f.Add(int64(2), "0", int64(1))
	f.Fuzz(func(t *testing.T, phase int64, token string, look int64) {
		st, err := decodeState([]any{phase, token, look})
		if err == nil && (st.Phase == lock.Held) != (st.Token != 0) || st.Look < 0 || st.Token >= maxToken {
			t.Fatalf("%v from %v", st, fmt.Sprint(phase, token, look))
		}
	})
}
