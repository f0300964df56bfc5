package mempubsub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/concordkit/concord/pubsub"
)

const (
	defaultDedupeWindow = 2 * time.Minute
	defaultMax          = 1_000_000
	maxPartitions       = 256
)

// QueueOptions configure [NewQueue]. A nil *QueueOptions means the defaults.
type QueueOptions struct {
	// DedupeWindow is for how long IDs are remembered, 1 ms to 24 h. It defaults to 2 minutes.
	DedupeWindow time.Duration
	// Max is how many messages a topic keeps, 1 to 100,000,000: those that some group has not settled, all where there is no
	// group, and delayed ones. It defaults to 1,000,000. Beyond it Publish returns pubsub.ErrFull.
	Max int
	// Partitions is how many parts a topic has, up to 256. 0, the default, means that consumers share it.
	Partitions int
}

// Queue is a [pubsub.QueueBackend] in this process. NewQueue makes it. What it keeps ends with the process.
type Queue struct {
	o      QueueOptions
	err    error
	mu     sync.Mutex
	topics map[string]*topic
}

// topic is what has been published to one.
type topic struct {
	name    string
	parts   []part
	seq     uint64               // of the last message
	ids     map[string]time.Time // when each was published
	order   []string             // of ids, the oldest first
	delayed []*message           // by when they are due
	groups  map[string]*group
	changed chan struct{} // closed and replaced when a consumer should look again
}

// part is a partition, or all of a topic that has none.
type part struct {
	log  []*message // what some group has not had yet, and what is kept for groups to come
	base int        // how many have been dropped before log[0]
}

type message struct {
	pubsub.Message
	seq       uint64
	part      int
	only      string // the group that it is for, "" for all
	due       time.Time
	published time.Time
}

// group is one group's place in a topic.
type group struct {
	name      string
	next      []int    // by part, the position of the next message
	again     []*given // given back, or expired: by seq
	given     map[uint64]*given
	dead      []pubsub.DeadLetter
	tokens    uint64
	consumers []*consumer
	owners    []*consumer // by part, where there are partitions
	epochs    []uint64    // the token of each owner
}

// given is a message that was handed out.
type given struct {
	*message
	to        *consumer // nil while nobody has it
	until     time.Time
	delivered int
	token     uint64
}

// NewQueue returns an empty Queue. Bad options are reported by every call.
func NewQueue(o *QueueOptions) *Queue {
	if o == nil {
		o = new(QueueOptions)
	}
	q := &Queue{o: *o, topics: map[string]*topic{}}
	q.o.DedupeWindow = cmp.Or(o.DedupeWindow, defaultDedupeWindow)
	q.o.Max = cmp.Or(o.Max, defaultMax)
	switch {
	case q.o.DedupeWindow < time.Millisecond || q.o.DedupeWindow > 24*time.Hour:
		q.err = fmt.Errorf("%w: DedupeWindow %v: want 1ms to 24h", pubsub.ErrInvalid, o.DedupeWindow)
	case q.o.Max < 1 || q.o.Max > 100_000_000:
		q.err = fmt.Errorf("%w: Max %d: want 1 to 100000000", pubsub.ErrInvalid, o.Max)
	case q.o.Partitions < 0 || q.o.Partitions > maxPartitions:
		q.err = fmt.Errorf("%w: Partitions %d: want 0 to %d", pubsub.ErrInvalid, o.Partitions, maxPartitions)
	}
	return q
}

// Info implements pubsub.QueueBackend.
func (q *Queue) Info(context.Context) (pubsub.QueueInfo, error) {
	return pubsub.QueueInfo{
		Durability: pubsub.Volatile, DedupeWindow: q.o.DedupeWindow, Partitions: q.o.Partitions, Delays: true,
	}, q.err
}

// topic returns a topic, which may be new. The caller holds q.mu.
func (q *Queue) topic(name string) *topic {
	t := q.topics[name]
	if t == nil {
		t = &topic{
			name: name, parts: make([]part, max(q.o.Partitions, 1)), ids: map[string]time.Time{},
			groups: map[string]*group{}, changed: make(chan struct{}),
		}
		q.topics[name] = t
	}
	return t
}

// Publish implements pubsub.QueueBackend. There is no longest message.
func (q *Queue) Publish(ctx context.Context, name string, ms []pubsub.Message, delay time.Duration) error {
	if q.err != nil {
		return q.err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t, now := q.topic(name), time.Now()
	t.forget(now.Add(-q.o.DedupeWindow))
	kept := len(t.delayed)
	for i := range t.parts {
		kept += len(t.parts[i].log)
	}
	if kept+len(ms) > q.o.Max && kept+t.unknown(ms) > q.o.Max {
		return fmt.Errorf("%w: %q keeps %d of %d messages", pubsub.ErrFull, name, kept, q.o.Max)
	}
	for i := range ms {
		if _, known := t.ids[ms[i].ID]; known {
			continue
		}
		t.ids[ms[i].ID] = now
		t.order = append(t.order, ms[i].ID)
		m := &message{Message: ms[i], part: ms[i].Partition(len(t.parts)), due: now.Add(delay), published: now}
		m.Topic = name
		if delay > 0 {
			at, _ := slices.BinarySearchFunc(t.delayed, m, func(o, m *message) int {
				if o.due.After(m.due) {
					return 1
				}
				return -1
			})
			t.delayed = slices.Insert(t.delayed, at, m)
			continue
		}
		t.append(m)
	}
	t.change()
	return nil
}

// unknown returns how many of ms have not been published yet.
func (t *topic) unknown(ms []pubsub.Message) int {
	ids := map[string]struct{}{}
	for i := range ms {
		if _, known := t.ids[ms[i].ID]; !known {
			ids[ms[i].ID] = struct{}{}
		}
	}
	return len(ids)
}

// forget drops the IDs that were published before.
func (t *topic) forget(before time.Time) {
	n := 0
	for n < len(t.order) && t.ids[t.order[n]].Before(before) {
		delete(t.ids, t.order[n])
		n++
	}
	t.order = t.order[n:]
}

// append puts a message at the end of its partition.
func (t *topic) append(m *message) {
	t.seq++
	m.seq = t.seq
	p := &t.parts[m.part]
	p.log = append(p.log, m)
}

// change tells consumers to look again.
func (t *topic) change() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// trim drops what all groups have had.
func (t *topic) trim() {
	for i := range t.parts {
		p := &t.parts[i]
		least := p.base + len(p.log)
		for _, g := range t.groups {
			least = min(least, g.next[i])
		}
		if n := least - p.base; n > 0 && len(t.groups) > 0 {
			clear(p.log[:n])
			p.log, p.base = p.log[n:], least
		}
	}
}

// group returns a group, which may be new.
func (t *topic) group(name string) *group {
	g := t.groups[name]
	if g == nil {
		g = &group{
			name: name, next: make([]int, len(t.parts)), given: map[uint64]*given{},
			owners: make([]*consumer, len(t.parts)), epochs: make([]uint64, len(t.parts)),
		}
		for i := range g.next {
			g.next[i] = t.parts[i].base
		}
		t.groups[name] = g
	}
	return g
}

// Join implements pubsub.QueueBackend.
func (q *Queue) Join(_ context.Context, name, groupName string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	if q.err != nil {
		return nil, q.err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topic(name)
	c := &consumer{q: q, t: t, g: t.group(groupName), lease: o.Lease}
	c.g.consumers = append(c.g.consumers, c)
	t.change()
	return c, nil
}

// Stats implements pubsub.QueueBackend.
func (q *Queue) Stats(_ context.Context, name, groupName string) (pubsub.Stats, error) {
	if q.err != nil {
		return pubsub.Stats{}, q.err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topics[name]
	if t == nil {
		return pubsub.Stats{}, nil
	}
	now := time.Now()
	t.ripen(now)
	s := pubsub.Stats{Delayed: len(t.delayed)}
	g := t.groups[groupName]
	for i := range t.parts {
		p := &t.parts[i]
		from := p.base
		if g != nil {
			from = g.next[i]
		}
		for _, m := range p.log[from-p.base:] {
			if m.only == "" || m.only == groupName {
				s.Waiting++
			}
		}
	}
	if g != nil {
		g.expire(now)
		s.Waiting += len(g.again)
		s.Pending = len(g.given)
		s.Dead = len(g.dead)
	}
	return s, nil
}

// Dead implements pubsub.QueueBackend.
func (q *Queue) Dead(_ context.Context, name, groupName, after string, n int) ([]pubsub.DeadLetter, error) {
	if q.err != nil {
		return nil, q.err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topics[name]
	if t == nil || t.groups[groupName] == nil {
		return nil, nil
	}
	ds := t.groups[groupName].dead
	if after != "" {
		last, err := strconv.ParseUint(after, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: Ref %.40q is not one of ours", pubsub.ErrInvalid, after)
		}
		ds = slices.DeleteFunc(slices.Clone(ds), func(d pubsub.DeadLetter) bool { return ref(d) <= last })
	}
	return slices.Clone(ds[:min(n, len(ds))]), nil
}

// ref returns the number of a dead letter of ours.
func ref(d pubsub.DeadLetter) uint64 {
	n, _ := strconv.ParseUint(d.Ref, 10, 64)
	return n
}

// Redrive implements pubsub.QueueBackend.
func (q *Queue) Redrive(_ context.Context, d pubsub.DeadLetter) (bool, error) {
	if q.err != nil {
		return false, q.err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topics[d.Topic]
	if t == nil || t.groups[d.Group] == nil {
		return false, nil
	}
	g := t.groups[d.Group]
	i := slices.IndexFunc(g.dead, func(o pubsub.DeadLetter) bool { return o.Ref == d.Ref })
	if i < 0 {
		return false, nil
	}
	m := &message{Message: g.dead[i].Message, only: d.Group, published: time.Now()}
	m.part = m.Partition(len(t.parts))
	g.dead = slices.Delete(g.dead, i, i+1)
	t.append(m)
	t.change()
	return true, nil
}

// ripen appends what is due.
func (t *topic) ripen(now time.Time) {
	n := 0
	for n < len(t.delayed) && !t.delayed[n].due.After(now) {
		t.append(t.delayed[n])
		n++
	}
	t.delayed = slices.Delete(t.delayed, 0, n)
}

// expire takes back what was handed out for too long.
func (g *group) expire(now time.Time) {
	for _, v := range g.given {
		if !v.until.After(now) {
			g.giveBack(v)
		}
	}
}

// giveBack makes a message one that is handed out again, before what comes after it.
func (g *group) giveBack(v *given) {
	delete(g.given, v.seq)
	v.to = nil
	at, _ := slices.BinarySearchFunc(g.again, v.seq, func(o *given, seq uint64) int { return cmp.Compare(o.seq, seq) })
	g.again = slices.Insert(g.again, at, v)
}

// assign gives partitions to consumers: each has one at a time, and lets go of it for a newcomer once it has settled all of it.
func (g *group) assign() {
	if len(g.owners) == 1 || len(g.consumers) == 0 {
		return
	}
	fair := (len(g.owners) + len(g.consumers) - 1) / len(g.consumers)
	busy := make([]bool, len(g.owners))
	for _, v := range g.given {
		busy[v.part] = true
	}
	has := map[*consumer]int{}
	for i, c := range g.owners {
		if c != nil && (!slices.Contains(g.consumers, c) || has[c] == fair) && !busy[i] {
			c, g.owners[i] = nil, nil
		}
		if c != nil {
			has[c]++
		}
	}
	for i, c := range g.owners {
		if c != nil || busy[i] {
			continue
		}
		c = slices.MinFunc(g.consumers, func(a, b *consumer) int { return cmp.Compare(has[a], has[b]) })
		g.tokens++
		g.owners[i], g.epochs[i] = c, g.tokens
		has[c]++
	}
}
