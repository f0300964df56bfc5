package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/pubsub"
)

// crasher is an engine whose server can be restarted.
type crasher interface {
	engine
	crash()
}

func (e redisEngine) crash() { e.Restart() }

func (e natsEngine) crash() { e.Restart(0) }

func onCrashers(t *testing.T, test func(t *testing.T, e crasher)) {
	on(t, map[string]func(t *testing.T) engine{
		"redis":        func(t *testing.T) engine { return redisEngine{Server: redisserver.Start(t), silence: silence} },
		"nats":         func(t *testing.T) engine { return natsEngine{natsserver.Start(t, 1)} },
		"nats cluster": func(t *testing.T) engine { return natsEngine{natsserver.Start(t, 3)} },
	}, func(t *testing.T, e engine) { test(t, e.(crasher)) })
}

// publisher publishes 0, 1, … and never one twice.
type publisher struct {
	record
	name  string
	bus   *pubsub.Bus
	links faultproxy.Links
	safe  int // how many a Flush has settled, one way or the other
}

// publish runs until ctx ends. It is slow enough that the subscriber keeps up.
func (p *publisher) publish(ctx context.Context) {
	for ctx.Err() == nil {
		if p.send(context.WithoutCancel(ctx)) != nil {
			time.Sleep(5 * time.Millisecond)
		}
		if p.n%50 == 0 {
			p.flush(ctx)
			time.Sleep(time.Millisecond)
		}
	}
}

func (p *publisher) send(ctx context.Context) error {
	err := p.bus.Publish(ctx, "faults."+p.name, pubsub.Message{Key: p.name, Data: fmt.Append(nil, p.n)})
	if err != nil {
		p.vague[p.n] = true
	}
	p.n++
	return err
}

// flush notes what Flush tells: all have arrived, or nobody knows. The end of ctx leaves it to the next one.
func (p *publisher) flush(ctx context.Context) error {
	err := p.bus.Flush(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	for ; p.safe < p.n; p.safe++ {
		if err != nil {
			p.vague[p.safe] = true
		}
	}
	return err
}

// listener keeps what it gets.
type listener struct {
	links faultproxy.Links
	mu    sync.Mutex
	got   []seen
	ended error
}

func listen(t *testing.T, e engine, o *pubsub.SubscribeOptions) *listener {
	t.Helper()
	l := &listener{links: e.links(t)}
	s := subscribe(t, newBus(t, e.connect(t, l.links, "")), "faults.*", o)
	var loop sync.WaitGroup
	loop.Go(func() { l.read(t.Context(), s) })
	t.Cleanup(loop.Wait)
	return l
}

func (l *listener) read(ctx context.Context, s *pubsub.Subscription) {
	for m, err := range s.All(ctx) {
		got := seen{publisher: m.Key, gap: err != nil}
		l.mu.Lock()
		switch {
		case err == nil:
			got.n, l.ended = atoi(m.Data)
		case !errors.Is(err, pubsub.ErrGap):
			l.ended = err
			l.mu.Unlock()
			return
		}
		l.got = append(l.got, got)
		l.mu.Unlock()
	}
}

func atoi(b []byte) (int, error) { return strconv.Atoi(string(b)) }

func (l *listener) so() ([]seen, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gaps := 0
	for _, s := range l.got {
		if s.gap {
			gaps++
		}
	}
	return l.got[:len(l.got):len(l.got)], gaps
}

// hears waits until l has got message n of p.
func (l *listener) hears(t *testing.T, p *publisher, n int, patience time.Duration) bool {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		got, _ := l.so()
		for i := len(got) - 1; i >= 0; i-- {
			if got[i].publisher == p.name && !got[i].gap {
				if got[i].n >= n {
					return true
				}
				break
			}
		}
	}
	return false
}

// settled publishes until what is published arrives and Flush has nothing to tell.
func settled(t *testing.T, l *listener, ps []*publisher) {
	t.Helper()
	for _, p := range ps {
		for start := time.Now(); ; {
			require.Less(t, time.Since(start), 30*time.Second, "after a fault nothing goes through")
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := p.send(ctx)
			if err == nil {
				err = p.flush(ctx)
			}
			cancel()
			if err == nil && l.hears(t, p, p.n-1, time.Second) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	time.Sleep(10 * settle) // in a cluster a gap is told once more
}

// Under each fault, what is lost lies beside a gap; before and after it nothing is lost at all.
func TestFaults(t *testing.T) {
	t.Parallel()
	onCrashers(t, func(t *testing.T, e crasher) {
		for name, fault := range map[string]func(l *listener, ps []*publisher){
			"restart":                    func(*listener, []*publisher) { e.crash() },
			"subscriber in a black hole": func(l *listener, _ []*publisher) { hole(l.links) },
			"subscriber is reset":        func(l *listener, _ []*publisher) { l.links.ResetAll() },
			"subscriber does not hear": func(l *listener, _ []*publisher) {
				l.links.Set(faultproxy.Faults{BlackholeDown: true})
				time.Sleep(2 * silence)
				l.links.Heal()
			},
			"publisher in a black hole": func(_ *listener, ps []*publisher) { hole(ps[0].links) },
			"publisher is reset":        func(_ *listener, ps []*publisher) { ps[0].links.ResetAll() },
		} {
			t.Run(name, func(t *testing.T) { faulty(t, e, name, fault) })
		}
	})
}

// hole is longer than a client bears.
func hole(links faultproxy.Links) {
	links.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	time.Sleep(2 * silence)
	links.ResetAll()
	links.Heal()
}

func faulty(t *testing.T, e crasher, name string, fault func(*listener, []*publisher)) {
	l := listen(t, e, &pubsub.SubscribeOptions{Buffer: 1 << 18})
	var ps []*publisher
	for _, name := range []string{"p", "q"} {
		links := e.links(t)
		ps = append(ps, &publisher{record: record{vague: map[int]bool{}}, name: name, bus: newBus(t, e.connect(t, links, "")), links: links})
	}
	calm := func(d time.Duration, during func()) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var all sync.WaitGroup
		for _, p := range ps {
			all.Go(func() { p.publish(ctx) })
		}
		during()
		<-ctx.Done()
		all.Wait()
	}
	whole := func(phase string) {
		for _, p := range ps {
			require.NoError(t, p.flush(t.Context()), phase)
			require.True(t, l.hears(t, p, p.n-1, 10*time.Second), "%s: the last one must come", phase)
		}
	}
	calm(100*time.Millisecond, func() {})
	whole("before")
	got, gaps := l.so()
	require.Zero(t, gaps, "a gap without a fault")
	missing, err := judge(got, sent(ps))
	require.NoError(t, err)
	require.Zero(t, missing, "lost without a fault")

	calm(200*time.Millisecond, func() { fault(l, ps) })
	settled(t, l, ps)
	got, gaps = l.so()
	missing, err = judge(got, sent(ps))
	require.NoError(t, err, "under the fault")
	t.Logf("%s: %d sent, %d of them vague, %d missing, %d gaps", name, ps[0].n+ps[1].n, len(ps[0].vague)+len(ps[1].vague), missing, gaps)

	calm(100*time.Millisecond, func() {})
	whole("after")
	after, gapsAfter := l.so()
	require.Equal(t, gaps, gapsAfter, "a gap after the fault")
	again, err := judge(after, sent(ps))
	require.NoError(t, err)
	require.Equal(t, missing, again, "lost after the fault")
	require.NoError(t, l.ended)
}

func sent(ps []*publisher) map[string]record {
	m := map[string]record{}
	for _, p := range ps {
		m[p.name] = p.record
	}
	return m
}
