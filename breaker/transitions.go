package breaker

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Transition is a change of state, or, where From equals To, of the reason or the open time.
type Transition struct {
	Name     string // of the breaker
	Seq      uint64 // 1 for the first change of a breaker, then one more each
	From, To State
	Cause    Cause
	Reason   string // what the caller of a method gave, if Cause is Manual
	At       time.Time
	OpenFor  time.Duration // the open time that begins, if To is Open
}

// String returns a line for people, such as "billing: closed -> open: failure rate".
func (t Transition) String() string {
	if t.Reason != "" {
		return fmt.Sprintf("%s: %v -> %v: %v (%s)", t.Name, t.From, t.To, t.Cause, t.Reason)
	}
	return fmt.Sprintf("%s: %v -> %v: %v", t.Name, t.From, t.To, t.Cause)
}

// kept is how many transitions a slow reader may be behind.
const kept = 64

// log keeps the latest transitions, and those that the hook is yet to hear of. b.mu guards it.
type log struct {
	seq     uint64
	latest  []Transition  // in order, at most kept
	changed chan struct{} // closed by the next transition
	queue   []Transition
	calling bool // a goroutine is calling the hook, and will empty the queue
}

func newLog() log { return log{changed: make(chan struct{})} }

func (l *log) add(t Transition, hook bool) {
	if len(l.latest) == kept {
		l.latest = slices.Delete(l.latest, 0, 1)
	}
	l.latest = append(l.latest, t)
	if hook {
		l.queue = append(l.queue, t)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// after returns the oldest transition kept whose number is above seq.
func (l *log) after(seq uint64) (Transition, bool) {
	for _, t := range l.latest {
		if t.Seq > seq {
			return t, true
		}
	}
	return Transition{}, false
}

// unlock gives b.mu back and calls the hook for what has happened, in order and by one goroutine at a time: a hook that
// changes the state, and other goroutines that do meanwhile, leave theirs to the one that is at it.
func (b *Breaker) unlock() {
	defer b.mu.Unlock()
	for !b.log.calling && len(b.log.queue) > 0 {
		t := b.log.queue[0]
		if b.log.queue = b.log.queue[1:]; len(b.log.queue) == 0 {
			b.log.queue = nil
		}
		b.callHook(t)
	}
}

// callHook calls the hook without b.mu. It takes it again also when the hook panics.
func (b *Breaker) callHook(t Transition) {
	b.log.calling = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.log.calling = false
	}()
	b.o.Trace.transition(t)
}

// Transitions follows the state of a breaker. [Breaker.Transitions] makes it.
type Transitions struct {
	ctx   context.Context
	b     *Breaker
	after uint64
}

// Transitions follows the state from now on, until ctx ends. It costs nothing while nobody reads it. [Snapshot.Seq]
// tells which transitions a snapshot has seen.
func (b *Breaker) Transitions(ctx context.Context) *Transitions {
	if ctx == nil {
		ctx = context.Background()
	}
	return &Transitions{ctx, b, b.period.Load().seq}
}

// All yields each transition since Transitions was called, in order and outside all locks. A reader that is more than
// 64 behind loses the oldest, as Seq shows. It ends when the loop breaks, or with one error, last: the cause of the end
// of the context of Transitions, or of ctx, which ends only this loop. Several loops may run at once; each gets all.
func (w *Transitions) All(ctx context.Context) iter.Seq2[Transition, error] {
	return func(yield func(Transition, error) bool) {
		seen := w.after
		for {
			for _, ctx := range []context.Context{w.ctx, ctx} {
				if ctx.Err() != nil {
					yield(Transition{}, fmt.Errorf("breaker: transitions: %w", context.Cause(ctx)))
					return
				}
			}
			w.b.mu.Lock()
			t, ok := w.b.log.after(seen)
			changed := w.b.log.changed
			w.b.mu.Unlock()
			if ok {
				seen = t.Seq
				if !yield(t, nil) {
					return
				}
				continue
			}
			select {
			case <-changed:
			case <-w.ctx.Done():
			case <-ctx.Done():
			}
		}
	}
}
