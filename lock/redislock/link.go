package redislock

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

const (
	// linger is how long the push connection outlives its last use, so that a busy process does not subscribe for
	// every wait.
	linger = 10 * time.Second
	// quiet is how long the push connection may be silent before the client publishes to itself, and then again before
	// the connection counts as dead. It may be alive and lead to a server that was the master once.
	quiet = 15 * time.Second
	// Pauses between tries to subscribe again.
	minPause, maxPause = 20 * time.Millisecond, time.Second
)

// link is the one push connection of a Backend: grants come on the client's own channel, hints on those of directories.
// Whatever it may have missed is asked for: after a break all waiters and watchers look for themselves.
type link struct {
	rdb    redis.UniversalClient
	prefix string // of push channels
	client string // the rest of ours, 128 random bits
	verify bool   // a pushed grant counts only when a renewal has found it

	mu     sync.Mutex
	waits  map[string]func(lock.State) // by claim ID
	hints  map[string][]chan struct{}  // by channel of a directory
	topics map[string]*topic           // what is or should be subscribed, while the link runs
	ps     *redis.PubSub               // the connection at work
	stop   context.CancelFunc          // ends the link's goroutine; nil while it does not run
	idle   *time.Timer                 // stops an unused link
}

// topic is a channel that is subscribed once ready is closed.
type topic struct {
	ready chan struct{}
	up    bool
	err   error // why it will not be ready, set before ready is closed
}

func newLink(rdb redis.UniversalClient, prefix string, verify bool) *link {
	return &link{
		rdb:    rdb,
		verify: verify,
		prefix: prefix + "push:",
		client: rand.Text(),
		waits:  make(map[string]func(lock.State)),
		hints:  make(map[string][]chan struct{}),
	}
}

func (k *link) own() string { return k.prefix + k.client }

// up reports whether grants can be pushed to this client now.
func (k *link) up() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.topics[k.own()]
	return t != nil && t.up
}

// await sends what is pushed for the claim id to notify, from when it returns until forget.
func (k *link) await(ctx context.Context, id string, notify func(lock.State)) error {
	k.mu.Lock()
	k.waits[id] = notify
	t := k.want(k.own())
	k.mu.Unlock()
	select {
	case <-t.ready:
		if t.err != nil {
			k.forget(id)
		}
		return t.err
	case <-ctx.Done():
		k.forget(id)
		return ctx.Err()
	}
}

// forget ends await.
func (k *link) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(id)
}

// drop is forget under k.mu.
func (k *link) drop(id string) {
	if k.waits[id] != nil {
		delete(k.waits, id)
		k.rest()
	}
}

// settle forgets the claims that wait no longer.
func (k *link) settle(cs []lock.Claim, states []lock.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, st := range states {
		if st.Phase == lock.Held || st.Phase == lock.Gone {
			k.drop(cs[i].ID)
		}
	}
}

// watch returns a channel that gets a hint when a message arrives on the channel name, or may have been missed.
func (k *link) watch(name string) (hint chan struct{}, stop func()) {
	hint = make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hints[name] = append(k.hints[name], hint)
	k.want(name)
	return hint, func() { k.unwatch(name, hint) }
}

func (k *link) unwatch(name string, hint chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hints[name] = slices.DeleteFunc(k.hints[name], func(h chan struct{}) bool { return h == hint })
	if len(k.hints[name]) == 0 {
		delete(k.hints, name)
		delete(k.topics, name)
		if ps := k.ps; ps != nil {
			go ps.Unsubscribe(context.Background(), name) // what comes all the same is dropped
		}
	}
	k.rest()
}

// want makes name a channel to subscribe, and starts the link if it does not run; k.mu is held.
func (k *link) want(name string) *topic {
	if k.idle != nil {
		k.idle.Stop()
	}
	if k.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		k.stop = stop
		k.topics = make(map[string]*topic)
		go k.run(ctx)
	}
	t := k.topics[name]
	if t == nil {
		t = &topic{ready: make(chan struct{})}
		k.topics[name] = t
		if ps := k.ps; ps != nil {
			go ps.Subscribe(context.Background(), name) // writes, and so may wait; its answer goes to receive
		}
	}
	return t
}

// rest starts the end of an unused link; k.mu is held.
func (k *link) rest() {
	if k.stop == nil || len(k.waits) > 0 || len(k.hints) > 0 {
		return
	}
	if k.idle == nil {
		k.idle = time.AfterFunc(linger, k.sleep)
		return
	}
	k.idle.Reset(linger)
}

// sleep stops the link if it is still unused.
func (k *link) sleep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil && len(k.waits) == 0 && len(k.hints) == 0 {
		k.halt()
	}
}

// halt stops the link's goroutine; k.mu is held.
func (k *link) halt() {
	k.stop()
	k.stop, k.topics = nil, nil
	if k.ps != nil {
		go k.ps.Close() // wakes receive, and may have to wait for a dial
		k.ps = nil
	}
}
