package natslock

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// feed keeps a view up to date: a read, then a consumer that delivers what is stored after it. A message that was lost on
// the way shows as a gap, and a consumer that is silently dead, cut off or behind shows when it does not deliver what was
// stored: await finds that out. Both are answered by starting over.
type feed struct {
	b      *Backend
	filter string   // what to read
	also   []string // what else to deliver
	update func()   // called after every change, one call at a time
	stop   context.CancelFunc

	mu      sync.Mutex
	view    *view                    // nil until there was a read
	awaited map[chan struct{}]uint64 // closed when the view is as far
	restart func()                   // ends the session at work
	since   time.Time                // when that began
	err     error                    // why it cannot go on
}

var (
	errGap     = errors.New("the view is not up to date")
	errStopped = errors.New("nobody follows the line any more")
)

// newFeed starts a feed. It ends with stop, or when it cannot go on. The view may be nil.
func (b *Backend) newFeed(filter string, also []string, v *view, update func()) *feed {
	ctx, stop := context.WithCancel(context.Background())
	f := &feed{
		b: b, filter: filter, also: also, update: update, stop: stop,
		view: v, awaited: make(map[chan struct{}]uint64), restart: func() {},
	}
	go f.run(ctx, v)
	return f
}

// run follows the stream until ctx ends. The view is where to begin, nil if that is to be read.
func (f *feed) run(ctx context.Context, v *view) {
	defer f.stop()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		start := time.Now()
		err := f.follow(ctx, v)
		if ctx.Err() != nil {
			f.fail(errStopped)
			return
		}
		if final(err) {
			f.fail(err)
			return
		}
		if time.Since(start) > patience {
			pause = minPause
		}
		if v = nil; !sleep(ctx, pause) {
			f.fail(errStopped)
			return
		}
	}
}

// follow runs one session.
func (f *feed) follow(ctx context.Context, v *view) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f.mu.Lock()
	f.restart, f.since = stop, time.Now()
	f.mu.Unlock()
	defer f.startOverAfterBreak(ctx, stop)()
	inbox := f.b.nc.NewInbox()
	sub, err := f.b.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	if v == nil {
		ms, upTo, err := f.b.read(ctx, f.filter)
		if err != nil {
			return err
		}
		v = newView(ms, upTo)
		f.mu.Lock()
		f.view = v
		f.mu.Unlock()
		f.tell(true)
	}
	name := rand.Text()
	if err := f.b.consume(ctx, name, inbox, append([]string{f.filter}, f.also...), v.upTo+1); err != nil {
		return err
	}
	defer f.b.drop(name)
	for delivered := uint64(1); ; delivered++ {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != delivered {
			return errGap
		}
		f.mu.Lock()
		changed := v.apply(f.b.message(m.Subject, meta.Sequence.Stream, m.Header, m.Data))
		f.mu.Unlock()
		f.tell(changed)
	}
}

// startOverAfterBreak ends a session when its connection breaks. The consumer outlives that for a while and goes on where
// it was, but markers that came and went meanwhile are not told.
func (f *feed) startOverAfterBreak(ctx context.Context, stop func()) (done func()) {
	broken := f.b.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	go func() {
		select {
		case <-broken:
			stop()
		case <-ctx.Done():
		}
	}()
	return func() { f.b.nc.RemoveStatusListener(broken) }
}

// tell wakes who awaits a message, after whoever follows the changes.
func (f *feed) tell(changed bool) {
	if changed {
		f.update()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for there, seq := range f.awaited {
		if f.err != nil || f.view != nil && f.view.upTo >= seq {
			close(there)
			delete(f.awaited, there)
		}
	}
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	f.tell(true)
}

// again starts over, unless that was done less than a time ago: many may ask for it at once.
func (f *feed) again(age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubt(age)
}

// doubt is again under f.mu.
func (f *feed) doubt(age time.Duration) {
	if time.Since(f.since) >= age {
		f.since = time.Now()
		f.restart()
	}
}

// reset forgets the view, which shows a stream that is no more, and starts over.
func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = nil
	f.restart()
}

// await returns once the feed shows the message with the sequence seq, which is stored, or a later one. It starts over
// whenever that is late.
func (f *feed) await(ctx context.Context, seq uint64, late time.Duration) error {
	there := make(chan struct{})
	f.mu.Lock()
	if f.err != nil || f.view != nil && f.view.upTo >= seq {
		defer f.mu.Unlock()
		return f.err
	}
	f.awaited[there] = seq
	f.mu.Unlock()
	tick := time.NewTicker(late)
	defer tick.Stop()
	for {
		select {
		case <-there:
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.err
		case <-tick.C:
			f.again(late)
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.awaited, there)
			return context.Cause(ctx)
		}
	}
}

// forgotten is how long a consumer outlives its process.
const forgotten = 10 * time.Second

// consume makes a consumer that delivers what is stored from the sequence from on.
func (b *Backend) consume(ctx context.Context, name, inbox string, filters []string, from uint64) error {
	_, err := b.consumer(ctx, name, inbox, filters, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   from,
	})
	return err
}

// consumer makes a consumer of that kind and returns how many messages it has to deliver.
func (b *Backend) consumer(ctx context.Context, name, inbox string, filters []string, c jetstream.ConsumerConfig) (uint64, error) {
	ctx, stop := context.WithTimeout(ctx, 2*patience)
	defer stop()
	for _, f := range filters {
		c.FilterSubjects = append(c.FilterSubjects, b.root+f)
	}
	c.Name, c.DeliverSubject = name, inbox
	c.AckPolicy, c.InactiveThreshold = jetstream.AckNonePolicy, forgotten
	c.Replicas, c.MemoryStorage = 1, true
	made, err := b.js.CreatePushConsumer(ctx, b.stream, c)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, b.inspect(ctx)
	}
	if err != nil {
		return 0, err
	}
	return made.CachedInfo().NumPending, nil
}

// drop tells the server that a consumer is not needed any more. Nobody waits for the answer: a consumer whose subscription is
// gone ends by itself.
func (b *Backend) drop(name string) {
	b.nc.PublishMsg(&nats.Msg{Subject: b.api + "CONSUMER.DELETE." + b.stream + "." + name})
}
