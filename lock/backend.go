package lock

import (
	"context"
	"time"
)

// Backend keeps the leases of a [Locker]. Its methods may be called concurrently. Every promise here has a case in
// package locktest.
//
// Three rules carry the contract. Grant: [Fits] decides who holds. Life: a claim, waiting or held, lives for its TTL
// from when the server handled its last Acquire or Renew; a grant extends nothing and nothing revives a dead claim.
// Age: where a claim lives on an older lease, [State].Age says how much of its TTL was already spent.
//
// An error that leaves the outcome open wraps [ErrUnknownOutcome]. A method need not return before its client library
// does: a Locker waits for it no longer than [Info.Heeds] says that is safe.
type Backend interface {
	// Acquire puts c in line and returns where it stands: Held with its token, Queued, or Gone when c is refused
	// since its Release came first. It does not wait for holders. With NoWait a claim that cannot hold at once leaves no trace and Queued
	// is returned. While c is Queued later changes reach notify, which does not block: Held with the token at the
	// grant, Gone at its end, or Unknown when a change may have been missed. Calls may be lost, repeated, early or
	// late; none comes long after Release. Acquiring an ID again renews it. The context ends with the acquire or the
	// lease, and has a deadline after which an answer is worth nothing.
	Acquire(ctx context.Context, c Claim, notify func(State)) (State, error)

	// Renew gives each claim a fresh TTL and returns the states in the order of cs: Unknown where that one failed.
	// It grants what can be granted, so that a lost push is repaired, and leaves values as they are. The error is the
	// first one met, or nil.
	Renew(ctx context.Context, cs []Claim) ([]State, error)

	// Release removes c, waiting or held, lets the next ones in, and reports whether c was there. A claim that was not
	// there is remembered for its TTL: an Acquire of it that arrives later gets Gone.
	Release(ctx context.Context, c Claim) (bool, error)

	// SetValue shows c.Value as the value of a held claim and reports whether it was held.
	SetValue(ctx context.Context, c Claim) (bool, error)

	// Watch calls emit, one call at a time, with the holders in dir now, even if there are none, with the full set
	// after every change, expiry included, and at least every interval as long as it knows the set. It may skip sets
	// that were replaced at once, never the last one. A set passes to emit. Watch rides out faults that may pass, and
	// returns when ctx ends, or with an error when it cannot go on.
	Watch(ctx context.Context, dir string, interval time.Duration, emit func([]Holder)) error

	// Info tells what the engine promises and takes. A Locker asks until it knows, and then no more.
	Info(ctx context.Context) (Info, error)
}

// All is the weight of an exclusive claim, and the capacity of exclusive and shared claims.
const All = 1<<31 - 1

// Claim asks for a name. The zero value of every field but Name is useful; see [Locker.Claim] for the limits.
type Claim struct {
	// Dir lists the claim: [Locker.Watch] shows the holders in a Dir. A claim with a Dir may have an empty Name.
	Dir string
	// Name and Dir together name the line that the claim joins.
	Name string
	// ID identifies the claim. The Locker sets it, 128 random bits in hexadecimal; a caller's is an error.
	ID string
	// Weight is what the claim takes of the capacity, from 1 to Capacity. It defaults to Capacity.
	Weight int
	// Capacity is what all holders together may weigh in this claim's opinion; the smallest one in the line rules.
	// It defaults to All.
	Capacity int
	// TTL is how long the claim lives without renewal. It defaults to the Locker's.
	TTL time.Duration
	// Value is shown to watchers. Not copied: leave it unchanged.
	Value []byte
	// NoWait fails with ErrHeld instead of waiting.
	NoWait bool
}

// Shared returns c as a shared claim: any number of shared claims hold together, an exclusive one excludes them.
func (c Claim) Shared() Claim { return c.Of(1, All) }

// Of returns c as a claim of weight units of a semaphore with the given capacity. Unlike in the fields, 0 is no default
// here but refused: a limit that was left out of a configuration must not mean none.
func (c Claim) Of(weight, capacity int) Claim {
	c.Weight, c.Capacity = orInvalid(weight), orInvalid(capacity)
	return c
}

func orInvalid(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// Phase is where a claim stands.
type Phase int

// The phases of a claim.
const (
	Unknown Phase = iota // not known: renew to find out
	Gone                 // ended: expired, released, removed or refused
	Queued               // waiting in line
	Held                 // granted
)

// State is what a backend knows of a claim.
type State struct {
	Phase Phase
	// Token is the fencing token of a Held claim.
	Token Token
	// Look asks for a renewal after that long, since a claim ahead in line may have ended by then; 0 asks for none.
	Look time.Duration
	// Age is how much of the TTL was already spent when the request was sent, 0 for most engines.
	Age time.Duration
}

// Holder is a granted claim as watchers see it.
type Holder struct {
	Name   string
	ID     string
	Token  Token
	Weight int
	Value  []byte
}

// Info tells what an engine promises and takes.
type Info struct {
	// Guarantee says when a name can have more holders than fit.
	Guarantee Guarantee
	// Granularity is the smallest TTL, and the step of TTLs, which are rounded up.
	Granularity time.Duration
	// MaxValue is the longest value in bytes.
	MaxValue int
	// Heeds says when the engine's calls return by themselves, so that no goroutine has to wait in their place.
	Heeds Heed
}

// Heed is how much of a context a client library minds.
type Heed int

// Heeds from the least to the most. The zero value is always safe.
const (
	// HeedsNothing may block longer than the context lasts.
	HeedsNothing Heed = iota
	// HeedsDeadline returns at the deadline of a context, but not when it is cancelled before. Releases, and acquires
	// with a context that cannot be cancelled, then run on the caller's goroutine: Close has to wait for their deadline,
	// that of the lease.
	HeedsDeadline
	// HeedsContext returns when a context ends.
	HeedsContext
)

// Guarantee says how many faults it takes until a name can have more holders than fit. Their tokens differ and grow
// under each of them.
type Guarantee int

// Guarantees from the weakest to the strongest.
const (
	// Process holds within the process, or until the engine's memory is lost.
	Process Guarantee = iota + 1
	// SingleNode holds while the one server keeps its data.
	SingleNode
	// AsyncReplicated holds while no acknowledged write is lost; a failover can lose some.
	AsyncReplicated
	// Consensus holds always: a majority has stored every answer.
	Consensus
)

// String returns the name of g.
func (g Guarantee) String() string {
	switch g {
	case Process:
		return "Process"
	case SingleNode:
		return "SingleNode"
	case AsyncReplicated:
		return "AsyncReplicated"
	case Consensus:
		return "Consensus"
	}
	return "no guarantee"
}

// Fits is the grant rule: it returns how many claims at the head of line hold, the longest prefix whose weights fit the
// smallest capacity in that prefix. A backend that passes over a waiter leaves it out of line.
func Fits(line []Claim) int {
	used, room := 0, All
	for i, c := range line {
		room = min(room, c.Capacity)
		if c.Weight > room-used {
			return i
		}
		used += c.Weight
	}
	return len(line)
}
