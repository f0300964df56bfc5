// Package fleet gives the breakers of many processes one mind: when enough of them have opened, all do, and one call of one
// process finds out for all whether to close. It works through any lock backend, and no call waits for the network.
//
//	b, err := breaker.New("billing", nil)
//	if err != nil {
//		return err
//	}
//	locks := lock.New(redislock.New(rdb, nil), nil)
//	m, err := fleet.Join(ctx, locks, b, &fleet.Options{Quorum: 3})
//	if err != nil {
//		return err
//	}
//	defer m.Leave(ctx)
//
//	err = b.Do(ctx, charge) // as before
//
// # How it works
//
// Every member holds a lease in the fleet's directory and watches that directory. A member whose breaker opens by its own
// rules votes: its lease says so for [Options.VoteTTL], or until its breaker closes. As soon as a quorum votes, one of the
// voters takes the lease "open", and every member that sees it holds its breaker open, those that join later too. A member
// whose network is bad but whose fellows are well opens only its own.
//
// When the open time is over, the members that have calls to make ask for the lease "probe": the first call after it is refused
// as well, since it is what makes its member ask. The one that gets it lets
// through its next call, the calls of one half-open state if Options.Probes is more than 1. If that succeeds, the fleet
// closes; if not, the next period begins, with twice the open time up to the breaker's MaxOpenFor. So there is one probe in a
// period, whatever the number of members, as long as no lease expires and the one that probes stays.
//
// # What is promised
//
// Each opening has a generation that grows, and a vote is for one: what was said before the fleet has closed does not open
// it again. Whoever dies is succeeded: its leases end with their TTL, and another member takes "open" over with the rest
// of the open time. All times that are sent are durations, so clocks need not agree.
//
// Membership is advice, not exclusion: members hear of a change one after the other, and a call that has begun is not taken
// back. Where the store cannot be reached, each breaker goes on by its own rules. A member that hears nothing keeps what the
// fleet has said for the rest of the open time and at most one TTL of the Locker more, and then probes for itself.
//
// The breaker belongs to its fleet between [Join] and [Member.Leave]: leave Trip, Hold, Probe and Restore to it. Its operator comes
// first: a breaker that is forced open, disabled or reset stays as it is, at least until the fleet's next period, and its
// member has no vote.
package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/lock"
)

// ErrInvalid reports bad input. The error that wraps it names the value and the rule. It is breaker.ErrInvalid.
var ErrInvalid = breaker.ErrInvalid

const (
	maxName   = lock.MaxName - len(dirPrefix)
	dirPrefix = "breaker/"

	defaultQuorum  = 2
	defaultVoteTTL = 30 * time.Second
	minVoteTTL     = 100 * time.Millisecond
	longest        = 24 * time.Hour
	shortest       = time.Millisecond
	maxQuorum      = 1_000_000
)

// Options configure [Join]. A nil *Options means the defaults. All members of a fleet should have the same.
type Options struct {
	// Quorum is how many nodes have to vote until the fleet opens, 1 to 1,000,000. It defaults to 2, so that one node that
	// cannot reach anything takes nobody else along.
	Quorum int
	// Share is which part of the nodes has to vote, besides: the larger number counts. It is 0 to 1; 0.2 in a fleet of 20 is
	// 4. Nodes that vanished within the last TTL still count, so that a store that lost its data makes no small fleet. It
	// defaults to 0.
	Share float64
	// VoteTTL is how long a vote counts after the breaker opened, or after a probe of its own failed, 100 ms to 24 h. It
	// defaults to 30 s.
	VoteTTL time.Duration
	// Node says which process this is, at most 256 bytes of UTF-8. Members with the same Node have one vote together, so that a
	// process that has crashed and is back is not a quorum. It defaults to the host's name: name the processes where some share a
	// host and should have a vote each.
	Node string
	// Trace observes the member. Nil observes nothing.
	Trace *Trace
}

func (o Options) filled() (Options, error) {
	o.Quorum = cmp.Or(o.Quorum, defaultQuorum)
	o.VoteTTL = cmp.Or(o.VoteTTL, defaultVoteTTL)
	if o.Node == "" {
		if o.Node, _ = os.Hostname(); o.Node == "" {
			o.Node = rand.Text()
		}
	}
	switch {
	case o.Quorum < 1 || o.Quorum > maxQuorum:
		return o, fmt.Errorf("%w: Quorum %d: want 1 to %d", ErrInvalid, o.Quorum, maxQuorum)
	case !(o.Share >= 0 && o.Share <= 1): // NaN is neither
		return o, fmt.Errorf("%w: Share %v: want 0 to 1", ErrInvalid, o.Share)
	case o.VoteTTL < minVoteTTL || o.VoteTTL > longest:
		return o, fmt.Errorf("%w: VoteTTL %v: want %v to %v", ErrInvalid, o.VoteTTL, minVoteTTL, longest)
	case len(o.Node) > lock.MaxName || !utf8.ValidString(o.Node):
		return o, fmt.Errorf("%w: Node %.40q: want at most %d bytes of UTF-8", ErrInvalid, o.Node, lock.MaxName)
	}
	return o, nil
}

// needed returns how many votes open a fleet of so many nodes.
func (o *Options) needed(nodes int) int {
	return max(o.Quorum, int(math.Ceil(o.Share*float64(nodes)-1e-9))) // 0.2 of 15 is 3, not 4
}

// Member is a breaker's membership of a fleet. [Join] makes it. Its methods may be called concurrently.
type Member struct {
	name  string
	locks *lock.Locker
	b     *breaker.Breaker
	o     Options
	trace *Trace

	life   context.Context // ends with Leave
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{} // something has changed; steer looks what
	asked  chan *order

	self, open, probe *slot // the leases that this member may hold

	mu     sync.Mutex
	view   view // what the directory shows
	shown  Snapshot
	until  time.Time     // the end of the period
	known  chan struct{} // closed when the breaker has once done what the fleet does
	joined sync.Once     // closes it
	leaves chan struct{} // closed by Leave
	gone   sync.Once     // closes it
	failed chan error    // what has no sense to try again
}

var errLeft = errors.New("fleet: the member has left")

// Join makes b a member of the fleet that is named like b, until [Member.Leave]. It returns when it knows what the fleet does,
// and b does the same, or when ctx ends: then it returns a Member too, which goes on trying, since a process should start
// without the store of its fleet; [Member.Snapshot] tells by Blind.
//
// The breaker's hooks run on goroutines of the member too, and must not call it. A breaker is a member once.
//
// The error wraps [ErrInvalid], for a nil Locker or Breaker, for a breaker whose name is empty, not UTF-8 or longer than 248
// bytes, and for bad options, or it says that the Locker is closed or has bad options itself.
func Join(ctx context.Context, locks *lock.Locker, b *breaker.Breaker, o *Options) (*Member, error) {
	if ctx == nil || locks == nil || b == nil {
		return nil, fmt.Errorf("%w: Join with nil: want a context, a Locker and a Breaker", ErrInvalid)
	}
	name := b.Name()
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return nil, fmt.Errorf("%w: the name of the breaker %.40q: want 1 to %d bytes of UTF-8", ErrInvalid, name, maxName)
	}
	if o == nil {
		o = new(Options)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	m := &Member{
		name: name, locks: locks, b: b, o: filled, trace: filled.Trace,
		wake: make(chan struct{}, 1), asked: make(chan *order), known: make(chan struct{}),
		leaves: make(chan struct{}), failed: make(chan error, 1),
	}
	m.shown = Snapshot{Fleet: name, Node: filled.Node, Needed: filled.needed(0), Blind: true}
	m.life, m.cancel = context.WithCancel(context.Background())
	dir := dirPrefix + name
	m.self = newSlot(m, lock.Claim{Dir: dir, Name: memberPrefix + rand.Text()})
	m.open = newSlot(m, lock.Claim{Dir: dir, Name: openName, NoWait: true})
	m.probe = newSlot(m, lock.Claim{Dir: dir, Name: probeName, NoWait: true})
	transitions := make(chan breaker.Transition)
	follow := b.Transitions(m.life)
	for _, part := range []func(){
		func() { m.watch(dir) },
		func() { m.listen(follow, transitions) },
		func() { m.run(transitions) },
	} {
		m.work.Go(part)
	}
	select {
	case <-m.known:
	case <-ctx.Done():
	case err := <-m.failed:
		m.cancel()
		return nil, fmt.Errorf("fleet: join %q: %w", name, err)
	}
	return m, nil
}

// fail notes an error that another try would meet again.
func (m *Member) fail(err error) {
	select {
	case m.failed <- err:
	default:
	}
}

// Leave ends the membership: others succeed to what this member held, and its breaker goes on by its own rules; if the fleet
// has it open, for the rest of the open time. It waits until its leases are released, and before that for up to 2 s where the
// others do not know yet what this member knows: that it has opened or closed the fleet, or how its probe ends. If ctx ends first, it
// returns the cause of that, and the leases end by their TTL at the latest. Calling it again is fine.
func (m *Member) Leave(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Leave with nil: want a context", ErrInvalid)
	}
	m.gone.Do(func() { close(m.leaves) })
	done := make(chan struct{})
	go func() {
		m.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		m.cancel()
		return fmt.Errorf("fleet: leave %q: %w", m.name, context.Cause(ctx))
	}
}

// notify makes the member look again. It does not block.
func (m *Member) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
