// Package lock provides distributed locks whose holder hears of a loss before the next holder can exist.
//
// A [Locker] hands out leases. A [Lease] is a named claim that lives for a time to live (TTL), is renewed in the
// background, and carries a fencing [Token] that grows with every grant of its name:
//
//	locks := lock.New(redislock.New(rdb, nil), nil)
//	lease, err := locks.Acquire(ctx, "invoice-42")
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	return write(lease.Context(), lease.Token())
//
// Where the leases live is the business of a [Backend]: memlock keeps them in this process, redislock on Redis, etcdlock on
// etcd, natslock on NATS JetStream.
// Everything else is the same on every engine.
//
// # Shapes
//
// One rule grants everything. A name has a line of claims in the order of their arrival; each claim has a weight and
// believes in a capacity; the holders are the longest prefix of the line whose weights fit the smallest capacity in
// that prefix. An exclusive lock ([Locker.Acquire]) weighs [All] of [All], a shared lock ([Claim.Shared]) one of All,
// and a semaphore of n ([Claim.Of]) one of n. Nobody overtakes, so writers do not starve.
//
// # What is promised
//
// The context of a lease ends before its claim can end on the server: its timer starts before the request that made
// or renewed the claim was sent, runs for the TTL less a margin, and does not depend on any answer. A loss is final.
// While a process is stopped (SIGSTOP, a paused virtual machine) nothing can be told to it; the first call of
// Context().Err() afterwards reports the loss, and the token lets the written-to resource refuse a late write
// (package [github.com/concordkit/concord/lock/fence]).
//
// Waiting costs no polling: a grant is pushed. An acquire that ends without a lease leaves nothing behind: unless the
// server has refused it, the claim is released in the background, and an Acquire of it that arrives even later is refused.
// If the server cannot be reached for that either, the claim ends with its TTL.
//
// [Info] tells what an engine promises: one holder always (Consensus), while the server keeps its memory (SingleNode),
// or while no acknowledged write is lost (AsyncReplicated). Where two can hold, their tokens differ and grow.
//
// # Clocks
//
// Deadlines are kept on the local monotonic clock and durations on the wire are relative, so clocks need not agree.
// The monotonic clock of Linux stands still while a machine is suspended: only the token protects there.
package lock

import "errors"

// Errors that callers test for with [errors.Is].
var (
	// ErrHeld reports that the claim cannot be granted at once: others hold the name or wait for it.
	ErrHeld = errors.New("lock: held")
	// ErrLost reports that a lease ended without being released: it was not renewed in time, or it is gone from the
	// server. It is the cause of the lease's context, and final.
	ErrLost = errors.New("lock: lost")
	// ErrReleased is the cause of a lease's context after Release.
	ErrReleased = errors.New("lock: released")
	// ErrClosed reports a call on a Locker after Close, or a wait that Close ended.
	ErrClosed = errors.New("lock: closed")
	// ErrInvalid reports bad input. The error that wraps it names the value and the rule; nothing was sent.
	ErrInvalid = errors.New("lock: invalid")
	// ErrBlind ends a [Watch] that could not learn who holds for a TTL, and an acquire on an engine that does not say
	// what it is.
	ErrBlind = errors.New("lock: no word from the engine")
	// ErrCorrupt reports that a server holds something under the lock's key that is not a lock's. Nothing is granted
	// until it is removed.
	ErrCorrupt = errors.New("lock: corrupt data on the server")
	// ErrUnknownOutcome reports that a request may or may not have been applied: its answer was lost or came too
	// late. Whatever it claimed ends within its TTL. An error that wraps it has UnknownOutcome() bool.
	ErrUnknownOutcome error = unknownOutcome{}
)

type unknownOutcome struct{}

func (unknownOutcome) Error() string { return "lock: unknown outcome" }

// UnknownOutcome marks the error for callers that know it by shape only.
func (unknownOutcome) UnknownOutcome() bool { return true }

// Token is a fencing token: within one backend it grows strictly with every grant of a name, also after the name was
// free, after a failover and after the server lost its data. It is at least 1 and below 2^53. Tokens of different
// names or backends are not comparable.
type Token uint64
