package retry

import "time"

// Verdict is what an error means for a retry.
type Verdict struct {
	// Decision is whether another attempt makes sense.
	Decision Decision
	// Applied is whether the work was done in spite of the error.
	Applied Applied
	// After is how long to wait at least until the next attempt; 0 or less asks for nothing.
	After time.Duration
	// Reason is for people, such as "429". It may be empty.
	Reason string
}

// Decision is whether another attempt makes sense.
type Decision uint8

// The decisions.
const (
	Unsure Decision = iota // others may know; if nobody does, there is another attempt
	Retry                  // it makes sense
	Stop                   // it is in vain
)

// Applied is whether work was done.
type Applied uint8

// What is known of work that failed.
const (
	Unknown    Applied = iota // it may have been done
	NotApplied                // it was provably not done
	WasApplied                // it was done
)

// Classifier judges an error, which is not nil. It may be called concurrently.
type Classifier func(error) Verdict

// First returns a Classifier that asks each of cs in order and returns the first verdict that is not Unsure. If all are, it
// is what they know together: the first Applied that is not Unknown, the longest After, the first Reason. Nil members are
// left out.
func First(cs ...Classifier) Classifier {
	return func(err error) Verdict {
		var all Verdict
		for _, c := range cs {
			if c == nil {
				continue
			}
			v := c(err)
			if v.Decision != Unsure {
				return v
			}
			all = all.and(v)
		}
		return all
	}
}

// and returns v with what only other knows.
func (v Verdict) and(other Verdict) Verdict {
	if v.Decision == Unsure {
		v.Decision = other.Decision
	}
	if v.Applied == Unknown {
		v.Applied = other.Applied
	}
	if v.Reason == "" {
		v.Reason = other.Reason
	}
	v.After = max(v.After, other.After)
	return v
}

// judgement is a verdict with what only the policy wants to know.
type judgement struct {
	Verdict
	open bool // nobody overrode that a breaker is open
}

// judge asks the marks of the func, the classifier and the error, in this order.
func (o *Options) judge(err error) judgement {
	if o.Classify == nil && !speaks(err) {
		return judgement{}
	}
	said := read(err)
	if said.marked {
		return judgement{Verdict: said.verdict()}
	}
	if o.Classify == nil {
		return judgement{said.verdict(), said.open}
	}
	v := o.Classify(err)
	decided := v.Decision != Unsure
	v = v.and(said.verdict())
	if v.Applied == NotApplied && said.unknown == yes { // who made the error knows more of it than who judges its text
		v.Applied = Unknown
	}
	return judgement{v, !decided && said.open}
}
