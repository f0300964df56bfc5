// Package election elects one leader among processes, and lets the leader's work end before another leader starts.
//
// An election is a long [lock.Lease], so it runs on every engine that package lock has:
//
//	locks := lock.New(etcdlock.New(cli, nil), nil)
//	e := election.New(locks, "scheduler", &election.Options{ID: host, Value: addr})
//	err := e.Run(ctx, func(ctx context.Context, t election.Term) error {
//		return schedule(ctx, t) // until ctx ends
//	})
//
// [Election.Campaign] is for those who drive it themselves. [Election.Leader] and [Election.Watch] tell who leads, also to
// those who do not stand for election.
//
// # What is promised
//
// The context of a leader's work ends before another leader can start, whatever the network does: that of a [lock.Lease],
// with all that package lock says of it. From then on work has the margin of the Locker to stop in, lock.Options.Margin:
// 2 % of the TTL unless it is set. The [Term] grows with every leader; pass it along with every write, so that the
// resource can refuse those of a former leader. How many may lead when an engine forgets what it has stored is what its
// [lock.Info] says.
//
// Candidates stand in line and lead in the order in which they came. They do not poll: a leader that resigns hands over to
// the next one, one that crashes is followed when its TTL is over. A candidate that is not in line any more, since its
// session was revoked or its key deleted, gets an error: Campaign never returns nil without a leadership. Whoever does that
// to a leader lets the next one in at once, while the leader hears of it at its next renewal, a third of the TTL later at
// most; only the term protects there.
//
// # Run
//
// Run stands for election until its context ends. While the function runs, nobody else starts as long as the leadership
// can be kept, and Run resigns only when it has returned:
//
//   - The function returns nil: its turn is over. Run resigns, so that those in line come first, and campaigns again.
//   - It returns an error: Run resigns and returns that error.
//   - The leadership is lost: the context of the function ends with the cause [ErrLost]. Run waits for it to return,
//     whatever it returns then, and campaigns again. An error that matters is met in the next term too.
//   - The context of Run ends: that of the function ends with it. Run waits for it to return, resigns, and returns the
//     error of its context, joined with that of the function if it is another one. A candidate that does not lead
//     leaves the line, and the function is not called.
//   - It panics: Run resigns, and the panic goes on.
//   - A campaign fails: Run campaigns again, with pauses that grow from 0.1 s to 2 s, since servers come back. Only
//     [ErrInvalid], [lock.ErrClosed] and [lock.ErrCorrupt] end Run. Set Options.Trace to hear of the others.
//
// Each campaign after the first is preceded by a pause of random length, 50 to 100 ms unless campaigns fail.
//
// A function that does not heed the end of its context holds up its own process only. Once the leadership is lost, others
// lead when the TTL is over. Run does not call the function again, here or in any other Run of this Election, while it
// still runs; [Trace].Overrun reports it. If it was the context of Run that ended, the leadership is kept for as long as
// the function runs: end the process to end it. The same goes for closing the Locker: do it when Run has returned.
//
// # What others see
//
// An election is the claim lock.Claim{Dir: name}. Its value is Options.Value, followed by "\x00id=" and the ID unless the
// two are equal. So etcd's concurrency.Election on the prefix "concord/dir/<name>" excludes our candidates, is excluded in
// turn, and its Leader shows our value: all of it where Value is left out, so that it is the ID, and in front of
// the ID otherwise. A leader that is no candidate of ours has its value for an ID.
package election

import (
	"cmp"
	"errors"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/lock"
)

// Errors that callers test for with [errors.Is].
var (
	// ErrNoLeader reports that nobody leads.
	ErrNoLeader = errors.New("election: no leader")
	// ErrLost reports that a leadership ended without being resigned, or that a candidate lost its place in line. It is
	// lock.ErrLost.
	ErrLost = lock.ErrLost
	// ErrResigned is the cause of a leadership's context after Resign. It is lock.ErrReleased.
	ErrResigned = lock.ErrReleased
	// ErrInvalid reports bad input. The error that wraps it names the value and the rule; nothing was sent. It is
	// lock.ErrInvalid.
	ErrInvalid = lock.ErrInvalid
)

// Term is the fencing token of a leadership. It grows with every leader of an election, and 0 is none.
type Term = lock.Token

// Options configure [New]. A nil *Options is for those who do not stand for election.
type Options struct {
	// ID names the candidate, such as a host or a pod: UTF-8 of 1 to lock.MaxName bytes without NUL. It should be unique,
	// but need not be: two candidates with the same ID exclude each other as any two do.
	ID string
	// Value is shown with the ID while the candidate leads, such as an address. Together with the ID and 4 bytes more it
	// must fit the engine's lock.Info.MaxValue, at least 1 KiB. It defaults to the ID.
	Value string
	// TTL is how long a leadership outlives its leader, as in lock.Claim. It defaults to that of the Locker.
	TTL time.Duration
	// Trace observes the candidate. Nil observes nothing and costs nothing.
	Trace *Trace
}

// Election is a candidate's view of an election. Its methods may be called concurrently. It holds nothing while none of
// them runs and there is no [Leadership] or [Watch].
type Election struct {
	locks   *lock.Locker
	name    string
	id      string
	value   string
	ttl     time.Duration
	trace   *Trace
	err     error       // what New found wrong
	running atomic.Bool // a Run has not returned
}

// New returns the election called name, among all who use the same engine: UTF-8 of 1 to lock.MaxName bytes. It does no
// I/O. Bad input is reported by every later call. The Locker stays the caller's.
func New(locks *lock.Locker, name string, o *Options) *Election {
	if o == nil {
		o = new(Options)
	}
	e := &Election{
		locks: locks,
		name:  name,
		id:    o.ID,
		value: cmp.Or(o.Value, o.ID),
		ttl:   o.TTL,
		trace: o.Trace,
	}
	e.err = e.check()
	return e
}
