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

// reading is what the errors of a tree say. In a chain the outermost that speaks of a thing is believed, but that the outcome is
// unknown is believed whoever says it. Errors that are joined stand for several pieces of work: nothing was done where all of them
// say so.
type reading struct {
	notApplied, unknown answer
	waits, marked       bool // marked by Permanent or After: the func itself has spoken
	wait                time.Duration
	decision            Decision
	inner               *Error
	open                bool // an open breaker refused the call
}

type answer uint8

const (
	none answer = iota
	no
	yes
)

func answered(is bool) answer {
	if is {
		return yes
	}
	return no
}

// AppliedOf returns what an error says of itself, and of what it wraps: by methods NotApplied and UnknownOutcome, see the package
// comment. It is for those who write a Classifier or their own retries.
func AppliedOf(err error) Applied {
	r := read(err)
	return r.verdict().Applied
}

func read(err error) reading {
	if !speaks(err) {
		return reading{}
	}
	var r reading
	switch e := err.(type) {
	case *Error: // what lies below belongs to a policy that has judged it
		r.inner = e
	case unwrapper:
		r = read(e.Unwrap())
	case joined:
		r = together(e.Unwrap())
	}
	r.add(err)
	return r
}

// speaks reports whether there is anything to find in err. Its cases are looked up at once, and most errors have none.
func speaks(err error) bool {
	switch err.(type) {
	case *mark, *Error, notApplier, unknownMarker, afterTeller, unwrapper, joined:
		return true
	}
	return false
}

// together returns what errors say that are joined.
func together(errs []error) reading {
	all := reading{open: len(errs) > 0}
	silent := false
	for i, err := range errs {
		r := read(err)
		switch {
		case r.notApplied == none:
			silent = true
		case i == 0 || r.notApplied == no:
			all.notApplied = r.notApplied
		case all.notApplied == none:
			all.notApplied = no // one before was silent
		}
		all.unknown = max(all.unknown, r.unknown)
		all.waits, all.wait = all.waits || r.waits, max(all.wait, r.wait)
		all.marked, all.decision = all.marked || r.marked, max(all.decision, r.decision)
		if all.inner == nil || r.inner != nil && r.inner.isFinal() {
			all.inner = r.inner
		}
		all.open = all.open && r.open
	}
	if silent && all.notApplied == yes {
		all.notApplied = no
	}
	return all
}

// add takes what err says, which is around all that r has heard so far.
func (r *reading) add(err error) {
	if m, ok := err.(*mark); ok {
		r.marked, r.decision = true, m.decision
	}
	if e, ok := err.(notApplier); ok {
		r.notApplied = answered(e.NotApplied())
	}
	if e, ok := err.(unknownMarker); ok && r.unknown != yes {
		r.unknown = answered(e.UnknownOutcome())
	}
	if e, ok := err.(afterTeller); ok {
		r.waits, r.wait = true, max(0, e.RetryAfter())
	}
	if e, ok := err.(*Error); ok {
		r.open = e.Stop == BreakerOpen && r.wait > 0
	} else if r.inner == nil {
		r.open = r.notApplied == yes && r.wait > 0
	}
}

func (r *reading) verdict() Verdict {
	v := Verdict{Decision: r.decision, After: r.wait}
	if r.notApplied == yes && r.unknown != yes {
		v.Applied = NotApplied
	}
	if r.inner != nil && r.inner.isFinal() && !r.marked {
		v.Decision, v.Reason = Stop, r.inner.Reason
	}
	return v
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
