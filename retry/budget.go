package retry

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Budget bounds how many retries and hedges there are. Its methods may be called concurrently and must not wait. One
// Budget is for one thing that may fail, such as a service: all policies and hedgers that call it share one.
type Budget interface {
	// Deposit is called after each call that succeeded.
	Deposit()
	// Withdraw is called before each retry or hedge, and reports whether it may be made. A retry whose wait is cut short by
	// the end of its context has been paid for too.
	Withdraw() bool
	// Name says in errors whose limit it was.
	Name() string
}

// BudgetOptions configure [NewBudget]. A nil *BudgetOptions means the defaults.
type BudgetOptions struct {
	// Max is how many tokens there are at most, and at first, 1 to 1,000,000. A retry takes one. It defaults to 100.
	Max int
	// Ratio is how many tokens a success brings, 0.001 to 1: how many retries there may be for each call that succeeds. It
	// counts in thousandths. It defaults to 0.1. Negative means none.
	Ratio float64
	// PerSecond is how many tokens come with time, 1 to 1,000,000, so that those who call rarely may retry too. It
	// defaults to 1. Negative means none.
	PerSecond int
}

const (
	maxTokens        = 1_000_000
	defaultMaxTokens = 100
	defaultRatio     = 0.1
	token            = 1000 // a token is kept in thousandths
	minRatio         = 1. / token
)

func (o BudgetOptions) filled() (BudgetOptions, error) {
	o.Max = cmp.Or(o.Max, defaultMaxTokens)
	o.Ratio = cmp.Or(o.Ratio, defaultRatio)
	o.PerSecond = cmp.Or(o.PerSecond, 1)
	if o.Ratio < 0 {
		o.Ratio = 0
	} else if err := ratio(o.Ratio); err != nil {
		return o, err
	}
	if err := within("Max", o.Max, 1, maxTokens); err != nil {
		return o, err
	}
	o.PerSecond = max(0, o.PerSecond)
	return o, within("PerSecond", o.PerSecond, 0, maxTokens)
}

// TokenBudget is a bucket of tokens in this process. [NewBudget] makes it. Its methods may be called concurrently and take no
// lock.
type TokenBudget struct {
	name      string
	base      time.Time
	max       uint64 // in thousandths, as are all below
	deposit   uint64
	perMillis uint64

	// word holds the level, and in its upper half the milliseconds since base up to which time has been paid for. They
	// wrap after 49 days: then those that go round bring less than they should.
	word atomic.Uint64
}

// NewBudget returns a full TokenBudget. The name is shown in errors and may be any string. The first value of o that
// breaks its rule is an error that wraps [ErrInvalid].
func NewBudget(name string, o *BudgetOptions) (*TokenBudget, error) {
	if o == nil {
		o = new(BudgetOptions)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	b := &TokenBudget{
		name: name, base: time.Now(), max: uint64(filled.Max) * token,
		deposit:   uint64(filled.Ratio*token + 0.5),
		perMillis: uint64(filled.PerSecond), // tokens per second are thousandths per millisecond
	}
	b.word.Store(b.max)
	return b, nil
}

// Name returns the name that [NewBudget] got.
func (b *TokenBudget) Name() string { return b.name }

// Deposit implements [Budget]. While the bucket is full it only reads, so that callers who succeed do not slow each other.
func (b *TokenBudget) Deposit() {
	for {
		old := b.word.Load()
		level := old & levelMask
		if level >= b.max || b.deposit == 0 {
			return
		}
		if b.word.CompareAndSwap(old, old-level+min(level+b.deposit, b.max)) {
			return
		}
	}
}

// Withdraw implements [Budget].
func (b *TokenBudget) Withdraw() bool {
	now := b.now()
	for {
		old := b.word.Load()
		level, paid := b.at(old, now)
		if level < token {
			return false
		}
		if b.word.CompareAndSwap(old, paid<<timeShift|(level-token)) {
			return true
		}
	}
}

// Level returns how many tokens there are, 0 to Max.
func (b *TokenBudget) Level() float64 {
	level, _ := b.at(b.word.Load(), b.now())
	return float64(level) / token
}

const (
	timeShift = 32
	levelMask = 1<<timeShift - 1
	maxAhead  = 60_000 // milliseconds: more than a goroutine is held up between its clock and its word
)

func (b *TokenBudget) now() uint64 {
	if b.perMillis == 0 {
		return 0
	}
	return uint64(time.Since(b.base)/time.Millisecond) & levelMask
}

// at returns the level of a word at a time, and up to when time is then paid for.
func (b *TokenBudget) at(word, now uint64) (level, paid uint64) {
	level, paid = word&levelMask, word>>timeShift
	if ahead := (paid - now) & levelMask; ahead < maxAhead { // none has passed, or another goroutine read a later time
		return level, paid
	}
	passed := (now - paid) & levelMask
	return min(level+passed*b.perMillis, b.max), now
}
