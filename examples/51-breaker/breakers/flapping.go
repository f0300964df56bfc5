package breakers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/httpbreaker"
)

// guarded returns a client of the server with a breaker for each host, and tells of all that they do.
func guarded(s *server, told func(breaker.Transition)) (*http.Client, error) {
	hosts, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{
		Rules:   breaker.Rules{Consecutive: tolerated},
		OpenFor: openFor,
		Jitter:  -1, // for a transcript that is the same each time; in production leave it on
		Trace:   &breaker.Trace{Transition: told},
	}})
	if err != nil {
		return nil, err
	}
	transport, err := httpbreaker.New(hosts, &httpbreaker.Options{Base: s})
	return &http.Client{Transport: transport}, err
}

// flapping follows the breaker of one host while its server goes down, stays down, and comes back.
func flapping(ctx context.Context, out io.Writer) error {
	s := new(server)
	var changes []breaker.Transition
	client, err := guarded(s, func(t breaker.Transition) { changes = append(changes, t) })
	if err != nil {
		return err
	}
	for _, phase := range []struct {
		what    string
		handler http.HandlerFunc
	}{{"it is well", well}, {"it fails", failing}, {"it still fails", failing}, {"it is well again", well}} {
		s.handler, changes = phase.handler, nil
		var refused *breaker.OpenError
		t := s.count(callers, breaker.ErrOpen, func() error {
			_, err := price(ctx, client)
			errors.As(err, &refused)
			return err
		})
		fmt.Fprintf(out, "  %-18s%v\n", phase.what+":", t)
		for _, t := range changes {
			fmt.Fprintf(out, "    %v\n", t)
		}
		if refused == nil {
			continue
		}
		// Whoever was refused knows when a call has a chance. A server tells its own callers so in Retry-After.
		wait := refused.RetryAfter()
		fmt.Fprintf(out, "    come back in %v\n", wait.Round(openFor/2))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}
