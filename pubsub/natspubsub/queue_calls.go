package natspubsub

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// queueCalls sends messages that are to be answered, many at a time, and in their order.
type queueCalls struct {
	nc      *nats.Conn
	mu      sync.Mutex
	sub     *nats.Subscription
	inbox   string
	next    uint64
	waiting map[string]*queueCall
}

// queueCall is a batch whose answers are awaited together.
type queueCall struct {
	mu      sync.Mutex
	answers []queueAnswer
	left    int
	done    chan struct{}
	err     error // of sending
}

// queueAnswer is what came, and when.
type queueAnswer struct {
	*nats.Msg
	at time.Time
}

// none reports whether nobody serves the subject.
func (a queueAnswer) none() bool {
	return a.Msg != nil && len(a.Data) == 0 && a.Header.Get("Status") == "503"
}

// do sends ms in their order and waits for the answers to those for which answered, which may be nil, is true. The order of the
// answers is that of ms; with an error they are those that came. What is being sent when ctx ends is sent later, or not.
func (c *queueCalls) do(ctx context.Context, ms []*nats.Msg, answered func(i int) bool) ([]queueAnswer, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	call := &queueCall{answers: make([]queueAnswer, len(ms)), done: make(chan struct{})}
	key, inbox, err := c.open(call)
	if err != nil {
		return nil, err
	}
	defer c.forget(key)
	prefix := inbox + key + "."
	for i, m := range ms {
		if answered == nil || answered(i) {
			m.Reply = prefix + strconv.Itoa(i)
			call.left++
		}
	}
	// Sending waits for the connection whatever ctx says, so a goroutine does.
	go func() {
		for _, m := range ms {
			if call.ended() {
				return
			}
			if err := c.nc.PublishMsg(m); err != nil {
				call.fail(err)
				return
			}
		}
	}()
	select {
	case <-call.done:
	case <-ctx.Done():
		call.fail(context.Cause(ctx))
	}
	call.mu.Lock()
	defer call.mu.Unlock()
	return call.answers, call.err
}

// open registers a call, and subscribes to the answers first.
func (c *queueCalls) open(call *queueCall) (key, inbox string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sub == nil || !c.sub.IsValid() {
		c.inbox = c.nc.NewInbox() + "."
		sub, err := c.nc.Subscribe(c.inbox+"*.*", c.answer)
		if err != nil {
			return "", "", err
		}
		sub.SetPendingLimits(-1, -1)
		c.sub = sub
	}
	if c.waiting == nil {
		c.waiting = map[string]*queueCall{}
	}
	c.next++
	key = strconv.FormatUint(c.next, 36)
	c.waiting[key] = call
	return key, c.inbox, nil
}

func (c *queueCalls) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, key)
}

func (c *queueCalls) answer(m *nats.Msg) {
	rest := m.Subject
	i := strings.LastIndexByte(rest, '.')
	n, err := strconv.Atoi(rest[i+1:])
	key := rest[:max(i, 0)]
	key = key[strings.LastIndexByte(key, '.')+1:]
	c.mu.Lock()
	call := c.waiting[key]
	c.mu.Unlock()
	if call == nil || err != nil {
		return // too late
	}
	call.mu.Lock()
	defer call.mu.Unlock()
	if call.err != nil || n >= len(call.answers) || call.answers[n].Msg != nil {
		return
	}
	call.answers[n] = queueAnswer{m, time.Now()}
	if call.left--; call.left == 0 {
		close(call.done)
	}
}

// ended reports whether nobody waits for answers any more.
func (c *queueCall) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// fail ends the call with an error, unless all answers are there.
func (c *queueCall) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 && c.err == nil {
		c.err = err
		c.left = -1
		close(c.done)
	}
}
