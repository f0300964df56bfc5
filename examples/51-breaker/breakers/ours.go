package breakers

import (
	"context"
	"io"
	"time"

	"github.com/concordkit/concord/breaker"
)

const (
	// tolerated is how many calls may fail in a row, of the counter and of ours.
	tolerated = 5
	// openFor does not bore anyone who waits for its end, and is far more than twenty refusals take.
	openFor = 100 * time.Millisecond
)

// ours has the same rule as the counter, and besides the one that a breaker has unless it is switched off: it opens when
// half of the calls of the last 10 s have failed, as soon as there were 20.
func ours(ctx context.Context, out io.Writer) error {
	return story(ctx, out, func() (gate, error) {
		b, err := breaker.New("shop", &breaker.Options{
			Rules:   breaker.Rules{Consecutive: tolerated},
			OpenFor: openFor,
		})
		if err != nil {
			return gate{}, err
		}
		return gate{b.Do, breaker.ErrOpen}, nil
	})
}
