package natspubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/internal/feed"
)

const (
	// doubts is how many messages at most get a gap before each, since nobody knows before which of them a connection began.
	// Beyond that they are dropped.
	doubts = 16
	// check is how often a subscription looks whether it was revoked.
	check = time.Second
	// flushTime is how long the server may take to confirm after a reconnect before a gap is told anyway.
	flushTime = 10 * time.Second
)

// intake is a subscription. nats.go calls take on a goroutine of its own, watch follows the connection on another one, and run
// hands on what they have put into the feed.
//
// Where a connection ended cannot be seen in what nats.go delivers. It reports Connecting after the last message of the old
// connection, and Connected before the first one of the new. So when nothing was waiting at Connecting, and Connected had not come,
// the place is known: before the next message. Else it is before one of those that are waiting when Connected is seen.
type intake struct {
	*feed.Feed // its lock guards what is below as well
	bus        *Bus
	// subject is what is subscribed. Those of clients and servers fit it too where it begins with a wildcard: loose.
	subject string
	loose   bool
	sub     *nats.Subscription

	connected chan nats.Status // for take
	events    chan nats.Status // for watch
	slow      <-chan nats.SubStatus

	clean  bool  // nothing of the old connection is waiting
	cause  error // of the gaps that are due
	due    int   // before how many of the next messages there is a gap
	skip   int   // how many of the next messages are dropped
	early  bool  // other servers do not know of the subscription yet: what comes is dropped
	ending bool
	left   int // how many messages are still taken
}

func newIntake(b *Bus, pattern string) *intake {
	in := &intake{
		Feed: feed.New(), bus: b, subject: b.prefix + pattern,
		connected: b.nc.StatusChanged(nats.CONNECTED),
		events:    b.nc.StatusChanged(nats.CONNECTING, nats.CONNECTED, nats.CLOSED),
	}
	in.loose = in.subject[0] == '*' || in.subject[0] == '>'
	return in
}

func (in *intake) forget() {
	in.bus.nc.RemoveStatusListener(in.connected)
	in.bus.nc.RemoveStatusListener(in.events)
}

// open returns when the server has the subscription.
func (in *intake) open(ctx context.Context) error {
	nc := in.bus.nc
	before := nc.LastError()
	err := apart(ctx, func() error {
		if err := in.subscribe(); err != nil {
			return err
		}
		return in.bus.ping(ctx)
	})
	if err == nil {
		err = in.refused(before)
	}
	if err == nil {
		err = in.settle(ctx)
	}
	if err != nil {
		go in.stop() // the client may be stuck
	}
	return err
}

func (in *intake) subscribe() error {
	in.Lock()
	defer in.Unlock()
	if in.ending {
		return context.Canceled
	}
	sub, err := in.bus.nc.Subscribe(in.subject, in.take)
	if err != nil {
		return fmt.Errorf("natspubsub: %w", err)
	}
	sub.SetPendingLimits(4*feed.MaxMessages, 2*feed.MaxBytes)
	in.slow = sub.StatusChanged(nats.SubscriptionSlowConsumer)
	in.sub = sub
	in.early = in.bus.settles()
	return nil
}

// stop ends the subscription.
func (in *intake) stop() {
	in.Lock()
	in.ending, in.left = true, 0
	sub := in.sub
	in.Unlock()
	if sub != nil {
		sub.Unsubscribe()
	}
}

// settle waits until the other servers of a cluster know of the subscription.
func (in *intake) settle(ctx context.Context) error {
	if in.bus.settles() {
		select {
		case <-time.After(in.bus.settle):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	in.Lock()
	defer in.Unlock()
	in.early = false
	return nil
}

// refused returns the server's refusal of the subscription, if it has come since the client's last error was before. NATS tells it
// only to the handlers of the connection, and those are the caller's.
func (in *intake) refused(before error) error {
	err := in.bus.nc.LastError()
	switch {
	case err == nil || err == before:
		return nil
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
	case errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), fmt.Sprintf("Subscription to %q", in.subject)):
	default:
		return nil
	}
	return fmt.Errorf("natspubsub: %w", err)
}

// take is nats.go's handler.
func (in *intake) take(msg *nats.Msg) {
	in.Lock()
	defer in.Unlock()
	if in.ending {
		if in.left--; in.left < 0 {
			return
		}
	}
	if in.early {
		return
	}
	in.look()
	if in.skip > 0 {
		in.skip--
		return
	}
	if in.due > 0 {
		in.due--
		in.Gap(in.cause)
	}
	topic := msg.Subject[len(in.bus.prefix):]
	if in.loose && (topic[0] == '$' || topic[0] == '_') {
		return // an engine's own
	}
	m := pubsub.Message{Topic: topic, Data: msg.Data}
	if len(msg.Header) > 0 {
		decode(msg.Header, &m)
	}
	in.Put(m)
}

// look finds out whether there may be gaps in what is waiting. The caller holds the lock of in.
func (in *intake) look() {
	switch n := drain(in.connected); {
	case n == 1 && in.clean:
		in.doubt(0, pubsub.ErrDisconnected)
	case n > 0:
		in.doubt(in.pending(), pubsub.ErrDisconnected)
	}
	if drain(in.slow) > 0 {
		in.doubt(in.pending(), errSlow)
	}
}

// doubt makes gaps before the next message, and before each of so many, or the one after them. The caller holds the lock of in.
func (in *intake) doubt(waiting int, cause error) {
	in.clean = false
	in.cause = cause
	in.due = max(in.due, waiting+1)
	if waiting > doubts {
		in.skip, in.due = waiting, 1
		in.Gap(cause)
	}
}

// drain empties ch and returns how many there were.
func drain[T any](ch <-chan T) (n int) {
	for len(ch) > 0 {
		<-ch
		n++
	}
	return n
}

// pending returns how many messages wait in nats.go, one that is in take included.
func (in *intake) pending() int {
	n, _, err := in.sub.Pending()
	if err != nil {
		return 0
	}
	return n
}

// watch follows the connection until ctx ends, and returns why the subscription cannot go on. It never waits for the client, so that
// it sees Connecting before Connected.
func (in *intake) watch(ctx context.Context) error {
	before := in.bus.nc.LastError()
	tick := time.NewTicker(check)
	defer tick.Stop()
	var confirmed chan bool // while a flush is under way
	defer func() {
		if confirmed != nil {
			<-confirmed
		}
	}()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-in.events:
			switch {
			case e == nats.CLOSED:
				return fmt.Errorf("natspubsub: %w", nats.ErrConnectionClosed)
			case e == nats.CONNECTING:
				in.connecting()
			case confirmed == nil:
				confirmed = make(chan bool, 1)
				go func() { confirmed <- in.confirm(ctx) }()
			}
		case ok := <-confirmed:
			confirmed = nil
			in.again()
			if ok && in.bus.settles() {
				settled = time.After(in.bus.settle)
			}
		case <-settled:
			in.again()
			in.once()
		case <-tick.C:
		}
		if err := in.refused(before); err != nil {
			return err
		}
	}
}

// connecting notes whether the old connection has left nothing behind.
func (in *intake) connecting() {
	in.Lock()
	defer in.Unlock()
	if in.pending() == 0 && len(in.events) == 0 && len(in.connected) == 0 {
		in.clean = true
	}
}

// confirm reports that the server has the subscription again, or takes too long to say so.
func (in *intake) confirm(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := in.bus.nc.FlushWithContext(limited)
	return err == nil || errors.Is(err, context.DeadlineExceeded)
}

// again tells the gap of a reconnect, if no message has come before.
func (in *intake) again() {
	in.Lock()
	defer in.Unlock()
	if in.pending() == 0 && drain(in.connected) > 0 {
		in.clean = false
		in.Gap(pubsub.ErrDisconnected)
	}
}

// once tells a gap once more.
func (in *intake) once() {
	in.Lock()
	defer in.Unlock()
	if in.pending() == 0 {
		in.Gap(pubsub.ErrDisconnected)
		return
	}
	in.cause, in.due = pubsub.ErrDisconnected, max(in.due, 1)
}

// run hands messages on until ctx ends or the subscription cannot go on.
func (in *intake) run(ctx context.Context, s pubsub.Sink) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	var end error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end = in.watch(watching)
	}()
	err := in.loop(ctx, s, ended)
	cancel()
	<-ended
	in.finish()
	if e := in.Deliver(ctx, s); err == nil {
		err = e
	}
	return cmp.Or(context.Cause(ctx), err, end)
}

func (in *intake) loop(ctx context.Context, s pubsub.Sink, ended <-chan struct{}) error {
	for {
		select {
		case <-in.More:
			if err := in.Deliver(ctx, s); err != nil {
				return err
			}
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// finish takes what waits in nats.go, and no more.
func (in *intake) finish() {
	in.Lock()
	in.ending, in.left = true, in.pending()
	in.Unlock()
	for start := time.Now(); time.Since(start) < check; time.Sleep(time.Millisecond) {
		in.Lock()
		done := in.left <= 0 || in.pending() == 0
		in.Unlock()
		if done {
			break
		}
	}
	in.stop()
}
