// Package breakertest drives a circuit breaker through random histories beside a reference model: concord's, one that you
// wrapped, or your own.
//
//	func TestBreaker(t *testing.T) {
//		breakertest.Run(t, func(o *breaker.Options) (breakertest.Subject, error) {
//			b, err := breaker.New("test", o)
//			if err != nil {
//				return breakertest.Subject{}, err
//			}
//			return breakertest.Of(b), nil
//		}, nil)
//	}
package breakertest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// Subject is a breaker under test. What is nil is left out of the histories.
type Subject struct {
	// Allow lets a call through, or refuses it with an error that wraps [breaker.ErrOpen]. Done gets nil, an error that is a
	// failure, or [context.Canceled], which is neutral. It may be called more than once.
	Allow func() (done func(error), err error)
	State func() breaker.State

	Trip                      func(openFor time.Duration)
	Probe                     func()
	Restore                   func()
	Reset, ForceOpen, Disable func()
}

// Of returns b as a Subject.
func Of(b *breaker.Breaker) Subject {
	return Subject{
		Allow: func() (func(error), error) {
			permit, err := b.Allow()
			return permit.Done, err
		},
		State:     b.State,
		Trip:      func(d time.Duration) { _ = b.Trip("test", d) },
		Probe:     func() { b.Probe("test") },
		Restore:   func() { b.Restore("test") },
		Reset:     func() { b.Reset("test") },
		ForceOpen: func() { b.ForceOpen("test") },
		Disable:   func() { b.Disable("test") },
	}
}

// Options configure [Run] and [Check]. A nil *Options means the defaults.
type Options struct {
	// Histories is how many Run plays, each with other options. It defaults to 1000.
	Histories int
	// Steps is the length of a history. It defaults to 300.
	Steps int
	// Seed is that of the first history; the next ones count up. A failure names the seed of its history.
	Seed uint64
}

const (
	defaultHistories = 1000
	defaultSteps     = 300
)

func (o *Options) filled() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	filled.Histories = cmp.Or(max(filled.Histories, 0), defaultHistories)
	filled.Steps = cmp.Or(max(filled.Steps, 0), defaultSteps)
	return filled
}

// Run fails t for each promise of a breaker that newSubject breaks. Each history runs in a bubble of [testing/synctest], in
// which newSubject is called; so t must not be in one. The options that it gets are complete and without jitter.
func Run(t *testing.T, newSubject func(*breaker.Options) (Subject, error), o *Options) {
	filled := o.filled()
	t.Run("random histories go as the model says", func(t *testing.T) {
		for i := range filled.Histories {
			one := filled
			one.Seed += uint64(i)
			synctest.Test(t, func(t *testing.T) { require.NoError(t, Check(newSubject, &one)) })
		}
	})
	t.Run("callers at one instant get as many probes as there may be", func(t *testing.T) {
		for _, probes := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) { require.NoError(t, CheckProbes(newSubject, probes)) })
		}
	})
}

// Check plays one history and returns what went otherwise than the model says, or nil. It sleeps for long: call it in a
// bubble of [testing/synctest].
func Check(newSubject func(*breaker.Options) (Subject, error), o *Options) error {
	filled := o.filled()
	rng := rand.New(rand.NewPCG(filled.Seed, 0))
	options := randomOptions(rng)
	subject, err := newSubject(options)
	if err != nil {
		return fmt.Errorf("breakertest: new: %w", err)
	}
	h := &history{rng: rng, subject: subject, model: newModel(options), unrest: pick(rng, 0, 1, 8)}
	for step := range filled.Steps {
		what, err := h.step()
		if err != nil {
			return fmt.Errorf("breakertest: seed %d, step %d, %s: %w, with %+v", filled.Seed, step, what, err, *options)
		}
	}
	return nil
}

// CheckProbes returns an error if, of many callers that come at one instant after the open time, another number than that is
// let through. Call it in a bubble of [testing/synctest].
func CheckProbes(newSubject func(*breaker.Options) (Subject, error), probes int) error {
	const callers = 1000
	o := randomOptions(rand.New(rand.NewPCG(0, 0)))
	o.Rules = breaker.Rules{FailureRate: -1, Consecutive: 1}
	o.Probes = probes
	s, err := newSubject(o)
	if err != nil {
		return fmt.Errorf("breakertest: new: %w", err)
	}
	done, err := s.Allow()
	if err != nil {
		return fmt.Errorf("breakertest: a new breaker refuses: %w", err)
	}
	done(errDown)
	time.Sleep(o.OpenFor)
	passed := make(chan func(error), callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if done, err := s.Allow(); err == nil {
				passed <- done
			}
		})
	}
	wg.Wait()
	close(passed)
	if len(passed) != probes {
		return fmt.Errorf("breakertest: %d probes of %d callers, want %d", len(passed), callers, probes)
	}
	for done := range passed {
		done(nil)
	}
	if s.State() != breaker.Closed {
		return errors.New("breakertest: not closed after all probes have succeeded")
	}
	return nil
}
