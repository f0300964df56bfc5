package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
)

// tape is a Sink that writes down what it gets.
type tape []string

func (*tape) Active() {}

func (p *tape) Gap(cause error) { *p = append(*p, cause.Error()) }

func (p *tape) Deliver(_ context.Context, topic string, ms []pubsub.Message) error {
	for _, m := range ms {
		*p = append(*p, topic+":"+string(m.Data))
	}
	return nil
}

func TestFeedKeepsPlaces(t *testing.T) {
	f := New()
	add := func(topic, data string) { f.Put(pubsub.Message{Topic: topic, Data: []byte(data)}) }
	f.Gap(errors.New("first"))
	f.Gap(errors.New("and again"))
	add("a", "1")
	add("a", "2")
	add("b", "3")
	f.Gap(errors.New("second"))
	add("b", "4")
	f.Gap(errors.New("last"))
	var got tape
	require.NoError(t, f.Deliver(t.Context(), &got))
	require.NoError(t, f.Deliver(t.Context(), &got))
	require.Equal(t, tape{"first", "a:1", "a:2", "b:3", "second", "b:4", "last"}, got)
}

func TestFeedIsBounded(t *testing.T) {
	for _, size := range []int{0, 1 << 20} {
		f, n := New(), 0
		for range 2 * MaxMessages {
			f.Put(pubsub.Message{Topic: "t", Data: make([]byte, size)})
			if n++; len(f.in.gaps) > 0 {
				break
			}
		}
		require.LessOrEqual(t, f.in.bytes, MaxBytes)
		var got tape
		require.NoError(t, f.Deliver(t.Context(), &got))
		require.Equal(t, 1, len(slices.DeleteFunc(got, func(s string) bool { return s != fmt.Sprint(ErrFull) })))
		f.Put(pubsub.Message{Topic: "t", Data: make([]byte, 2*MaxBytes)})
		require.Len(t, f.in.ms, 1, "one that is alone is taken, whatever its size")
	}
}
