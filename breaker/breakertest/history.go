package breakertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/concordkit/concord/breaker"
)

var errDown = errors.New("breakertest: down")

// history plays random steps on a subject and on the model.
type history struct {
	rng     *rand.Rand
	subject Subject
	model   *model
	calls   []pair // some have ended
	unrest  int    // how many steps in a hundred move the state from outside
}

// pair is a call on both sides.
type pair struct {
	done  func(error)
	model *modelCall
}

// pick returns one of vs.
func pick[T any](rng *rand.Rand, vs ...T) T { return vs[rng.IntN(len(vs))] }

// randomOptions returns options without zeros that mean a default, small enough for every rule to break often.
func randomOptions(rng *rand.Rand) *breaker.Options {
	openFor := pick(rng, 100*time.Millisecond, time.Second)
	return &breaker.Options{
		Rules: breaker.Rules{
			Window:      pick(rng, time.Second, 8*time.Second),
			FailureRate: pick(rng, -1, 0.25, 0.5, 1),
			MinCalls:    pick(rng, 1, 5, 20, 50),
			Consecutive: pick(rng, -1, -1, -1, 1, 3),
			SlowAfter:   pick(rng, -1, 50*time.Millisecond),
			SlowRate:    pick(rng, -1, 0.25, 0.5),
			InFlight:    pick(rng, -1, -1, 3, 10),
		},
		OpenFor:      openFor,
		MaxOpenFor:   openFor * pick[time.Duration](rng, 1, 3, 8),
		Jitter:       -1,
		Probes:       pick(rng, 1, 2, 5),
		ProbeTimeout: pick(rng, 200*time.Millisecond, 5*time.Second),
	}
}

// step makes one step and compares.
func (h *history) step() (what string, err error) {
	what, err = h.act()
	if err == nil {
		err = h.compare()
	}
	return what, err
}

func (h *history) act() (what string, err error) {
	switch n := h.rng.IntN(100); {
	case n < 40:
		return "allow", h.allow()
	case n < 70:
		return h.done()
	case n < 85:
		return h.sleep(), nil
	case n < 100-h.unrest:
		return h.burst()
	default:
		return h.control(), nil
	}
}

func (h *history) compare() error {
	if got := h.subject.State(); got != h.model.state {
		return fmt.Errorf("the state is %v, want %v", got, h.model.state)
	}
	return nil
}

func (h *history) allow() error {
	c, want := h.model.allow()
	done, err := h.subject.Allow()
	switch {
	case err != nil && want:
		return fmt.Errorf("a call was refused: %w", err)
	case err == nil && !want:
		return errors.New("a call was let through that must be refused")
	case err != nil && !errors.Is(err, breaker.ErrOpen):
		return fmt.Errorf("a refusal is not ErrOpen: %w", err)
	case err == nil:
		h.calls = append(h.calls, pair{done, c})
	}
	return nil
}

// done ends some call, maybe for a second time.
func (h *history) done() (string, error) {
	if len(h.calls) == 0 {
		return "nothing", nil
	}
	i := h.rng.IntN(len(h.calls))
	c := h.calls[i]
	if h.rng.IntN(4) > 0 { // mostly forgotten, so that the list stays short
		h.calls = append(h.calls[:i], h.calls[i+1:]...)
	}
	return h.end(c, h.rng.IntN(5)), nil
}

func (h *history) end(c pair, how int) string {
	switch how {
	case 0, 1:
		h.model.done(c.model, true, false)
		c.done(fmt.Errorf("call: %w", errDown))
		return "failure"
	case 2:
		h.model.done(c.model, false, true)
		c.done(fmt.Errorf("call: %w", context.Canceled))
		return "neutral"
	}
	h.model.done(c.model, false, false)
	c.done(nil)
	return "success"
}

// burst makes some calls that end at once in one way.
func (h *history) burst() (string, error) {
	how := pick(h.rng, 0, 3)
	for range h.rng.IntN(30) {
		n := len(h.calls)
		if err := h.allow(); err != nil {
			return "burst", err
		}
		if len(h.calls) > n {
			h.end(h.calls[n], how)
			h.calls = h.calls[:n]
		}
	}
	return "burst", nil
}

// sleep waits, often to the very instant at which something happens or to the one before.
func (h *history) sleep() string {
	o := h.model.o
	step := o.Rules.Window / windowSteps
	d := pick(h.rng, 1, time.Millisecond, 50*time.Millisecond+1, 100*time.Millisecond, step-1, step, o.Rules.Window, o.OpenFor)
	switch m := h.model; {
	case m.state == breaker.Open && h.rng.IntN(2) == 0:
		d = time.Until(m.until) - pick[time.Duration](h.rng, 0, 0, 1)
	case len(m.probes) > 0 && h.rng.IntN(4) == 0:
		d = time.Until(m.probes[0].began.Add(o.ProbeTimeout)) - pick[time.Duration](h.rng, 0, 1)
	}
	time.Sleep(d)
	synctest.Wait() // for timers of this instant
	h.model.settle()
	return fmt.Sprintf("sleep %v", d)
}

// control moves the state from outside.
func (h *history) control() string {
	s, m := &h.subject, h.model
	switch h.rng.IntN(9) {
	case 0, 1:
		d := pick(h.rng, 0, time.Millisecond, 300*time.Millisecond)
		if s.Trip != nil {
			s.Trip(d)
			m.trip(d)
		}
		return fmt.Sprintf("trip for %v", d)
	case 2:
		both(s.Probe, m.probe)
		return "probe"
	case 3:
		both(s.Restore, m.restore)
		return "restore"
	case 4:
		both(s.ForceOpen, func() { m.force(breaker.ForcedOpen) })
		return "force open"
	case 5:
		both(s.Disable, func() { m.force(breaker.Disabled) })
		return "disable"
	default: // often, since it alone ends the two above
		both(s.Reset, func() { m.force(breaker.Closed) })
		return "reset"
	}
}

func both(subject, model func()) {
	if subject != nil {
		subject()
		model()
	}
}
