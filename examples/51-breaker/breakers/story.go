package breakers

import (
	"context"
	"fmt"
	"io"
)

// story takes four breakers of one kind through what happens to each of them sooner or later.
func story(ctx context.Context, out io.Writer, newGate func() (gate, error)) error {
	for _, chapter := range []struct {
		what string
		tell func(context.Context, gate) (tally, error)
	}{
		{"callers hang up on a slow server", hangUp},
		{"their deadlines pass", runOut},
		{"every second call fails", limp},
		{"a probe panicked, and the server is well since", panicked},
	} {
		g, err := newGate()
		if err != nil {
			return err
		}
		t, err := chapter.tell(ctx, g)
		if err != nil {
			return fmt.Errorf("%s: %w", chapter.what, err)
		}
		fmt.Fprintf(out, "  %-47s %v\n", chapter.what+":", t)
	}
	return nil
}
