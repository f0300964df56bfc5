package retry

import "time"

// The methods by which errors speak. Whoever has them needs to import nothing.
type (
	notApplier    interface{ NotApplied() bool }
	unknownMarker interface{ UnknownOutcome() bool }
	afterTeller   interface{ RetryAfter() time.Duration }
	unwrapper     interface{ Unwrap() error }
	joined        interface{ Unwrap() []error }
)

// reading is what the errors of a tree say: of each kind the first that is found, outermost first.
type reading struct {
	notApplied, unknown answer
	waits, marked       bool // marked by Permanent or After: the func itself has spoken
	wait                time.Duration
	decision            Decision
	inner               *Error
}

type answer uint8

const (
	none answer = iota
	no
	yes
)

// set keeps the first answer.
func (a *answer) set(is bool) {
	switch {
	case *a != none:
	case is:
		*a = yes
	default:
		*a = no
	}
}

func read(err error) (r reading) {
	r.walk(err)
	return r
}

// walk goes down the tree as [errors.As] does.
func (r *reading) walk(err error) {
	for speaks(err) {
		if r.note(err); r.inner != nil {
			return // what lies below belongs to a policy that has judged it
		}
		switch e := err.(type) {
		case unwrapper:
			err = e.Unwrap()
		case joined:
			for _, err := range e.Unwrap() {
				r.walk(err)
			}
			return
		default:
			return
		}
	}
}

// speaks reports whether there is anything to find in err. Its cases are looked up at once, and most errors have none.
func speaks(err error) bool {
	switch err.(type) {
	case *mark, *Error, notApplier, unknownMarker, afterTeller, unwrapper, joined:
		return true
	}
	return false
}

func (r *reading) note(err error) {
	switch e := err.(type) {
	case *mark:
		if !r.marked {
			r.marked, r.decision = true, e.decision
		}
	case *Error:
		r.inner = e
	}
	if e, ok := err.(notApplier); ok {
		r.notApplied.set(e.NotApplied())
	}
	if e, ok := err.(unknownMarker); ok {
		r.unknown.set(e.UnknownOutcome())
	}
	if e, ok := err.(afterTeller); ok && !r.waits {
		r.waits, r.wait = true, max(0, e.RetryAfter())
	}
}

func (r *reading) verdict() Verdict {
	v := Verdict{Decision: r.decision, After: r.wait}
	if r.notApplied == yes && r.unknown != yes {
		v.Applied = NotApplied
	}
	if r.inner != nil && (r.inner.Stop == PermanentError || r.inner.Stop == UnsafeRepeat) {
		v.Decision, v.Reason = Stop, r.inner.Reason
	}
	return v
}

// open reports whether an open breaker refused the call.
func (r *reading) open() bool {
	if r.inner != nil {
		return r.inner.Stop == BreakerOpen && r.wait > 0
	}
	return r.notApplied == yes && r.wait > 0
}

// mark is the error of Permanent and After.
type mark struct {
	error
	decision Decision
	wait     time.Duration
}

// Permanent returns an error that tells the policy not to retry; nil stays nil. Where it is what the func returned, the Last of
// the [Error] is err itself.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, decision: Stop}
}

// After returns an error that tells the policy to retry, not sooner than after d; nil stays nil, and 0 or less asks for no
// wait. Where it is what the func returned, the Last of the [Error] is err itself.
func After(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &mark{error: err, decision: Retry, wait: max(0, d)}
}

func (m *mark) Unwrap() error             { return m.error }
func (m *mark) RetryAfter() time.Duration { return m.wait }

// unmarked returns the error inside if err is a mark.
func unmarked(err error) error {
	for {
		m, ok := err.(*mark)
		if !ok {
			return err
		}
		err = m.error
	}
}
