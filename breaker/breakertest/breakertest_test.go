package breakertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/breakertest"
)

func subject(o *breaker.Options) (breakertest.Subject, error) {
	b, err := breaker.New("test", o)
	if err != nil {
		return breakertest.Subject{}, err
	}
	return breakertest.Of(b), nil
}

func TestBreaker(t *testing.T) {
	breakertest.Run(t, subject, nil)
}

// A breaker that can do less has shorter histories.
func TestLesserBreaker(t *testing.T) {
	breakertest.Run(t, func(o *breaker.Options) (breakertest.Subject, error) {
		s, err := subject(o)
		return breakertest.Subject{Allow: s.Allow, State: s.State}, err
	}, &breakertest.Options{Histories: 20})
}

// Each way to be wrong must be found: a checker that finds nothing is of no use.
func TestControls(t *testing.T) {
	options := func(change func(o *breaker.Options)) func(*breaker.Options) (breakertest.Subject, error) {
		return func(o *breaker.Options) (breakertest.Subject, error) {
			other := *o
			change(&other)
			return subject(&other)
		}
	}
	wrapped := func(change func(s *breakertest.Subject)) func(*breaker.Options) (breakertest.Subject, error) {
		return func(o *breaker.Options) (breakertest.Subject, error) {
			s, err := subject(o)
			change(&s)
			return s, err
		}
	}
	for name, wrong := range map[string]func(*breaker.Options) (breakertest.Subject, error){
		"window":         options(func(o *breaker.Options) { o.Rules.Window /= 2 }),
		"failure rate":   options(func(o *breaker.Options) { o.Rules.FailureRate *= 0.8 }),
		"volume":         options(func(o *breaker.Options) { o.Rules.MinCalls++ }),
		"consecutive":    options(func(o *breaker.Options) { o.Rules.Consecutive++ }),
		"slow after":     options(func(o *breaker.Options) { o.Rules.SlowAfter *= 2 }),
		"slow rate":      options(func(o *breaker.Options) { o.Rules.SlowRate *= 0.8 }),
		"in flight":      options(func(o *breaker.Options) { o.Rules.InFlight++ }),
		"open time":      options(func(o *breaker.Options) { o.OpenFor++; o.MaxOpenFor++ }),
		"growth":         options(func(o *breaker.Options) { o.MaxOpenFor = o.OpenFor }),
		"jitter":         options(func(o *breaker.Options) { o.Jitter = 0.01 }),
		"probes":         options(func(o *breaker.Options) { o.Probes++ }),
		"probe timeout":  options(func(o *breaker.Options) { o.ProbeTimeout++ }),
		"hung probe":     options(func(o *breaker.Options) { o.ProbeTimeout = time.Hour }),
		"no options":     options(func(o *breaker.Options) { o.Probes = -1 }),
		"trips not":      wrapped(func(s *breakertest.Subject) { s.Trip = func(time.Duration) {} }),
		"probes not":     wrapped(func(s *breakertest.Subject) { s.Probe = func() {} }),
		"restores not":   wrapped(func(s *breakertest.Subject) { s.Restore = func() {} }),
		"resets not":     wrapped(func(s *breakertest.Subject) { s.Reset = func() {} }),
		"forces not":     wrapped(func(s *breakertest.Subject) { s.ForceOpen = func() {} }),
		"disables not":   wrapped(func(s *breakertest.Subject) { s.Disable = func() {} }),
		"restore resets": wrapped(func(s *breakertest.Subject) { s.Restore = s.Reset }),
		"other error": wrapped(func(s *breakertest.Subject) {
			allow := s.Allow
			s.Allow = func() (func(error), error) {
				done, err := allow()
				if err != nil {
					err = errors.New("no")
				}
				return done, err
			}
		}),
		"lets all through": wrapped(func(s *breakertest.Subject) {
			allow := s.Allow
			s.Allow = func() (func(error), error) {
				done, _ := allow()
				return done, nil
			}
		}),
		"cancellation counts": wrapped(func(s *breakertest.Subject) {
			allow := s.Allow
			s.Allow = func() (func(error), error) {
				done, err := allow()
				return func(err error) {
					if errors.Is(err, context.Canceled) {
						err = errors.New("failure")
					}
					done(err)
				}, err
			}
		}),
		"done twice counts": wrapped(func(s *breakertest.Subject) {
			allow := s.Allow
			s.Allow = func() (func(error), error) {
				done, err := allow()
				n := 0
				return func(err error) {
					if n++; n == 1 {
						done(err)
					} else if again, refused := allow(); refused == nil {
						again(err)
					}
				}, err
			}
		}),
		"late results count": wrapped(func(s *breakertest.Subject) {
			allow, state, trip := s.Allow, s.State, s.Trip
			s.Allow = func() (func(error), error) {
				done, err := allow()
				began := state()
				return func(err error) {
					done(err)
					if err != nil && began == breaker.Closed && state() == breaker.HalfOpen {
						trip(0)
					}
				}, err
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				var err error
				synctest.Test(t, func(*testing.T) {
					err = breakertest.Check(wrong, &breakertest.Options{Seed: seed})
				})
				if err != nil {
					t.Log(err)
					return
				}
			}
			require.Fail(t, "300 histories went as the model says")
		})
	}
}

func TestProbesControls(t *testing.T) {
	for name, wrong := range map[string]func(*breaker.Options) (breakertest.Subject, error){
		"more probes": func(o *breaker.Options) (breakertest.Subject, error) { o.Probes++; return subject(o) },
		"no options":  func(o *breaker.Options) (breakertest.Subject, error) { o.Probes = -1; return subject(o) },
		"forced": func(o *breaker.Options) (breakertest.Subject, error) {
			s, err := subject(o)
			s.ForceOpen()
			return s, err
		},
		"never closes": func(o *breaker.Options) (breakertest.Subject, error) {
			s, err := subject(o)
			s.State = func() breaker.State { return breaker.HalfOpen }
			return s, err
		},
	} {
		synctest.Test(t, func(t *testing.T) { require.Error(t, breakertest.CheckProbes(wrong, 2), name) })
	}
}
