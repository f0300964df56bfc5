package electionbench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// settling is how long a candidate has to get in line, and a leader leads. A server of etcd looks only every 100 ms after
// a watch that begins in the past, as that of its Election does; but a candidate waits for nine terms.
const settling = 20 * time.Millisecond

// party is the candidates of one election. One leads, the others wait.
type party struct {
	name     string
	election string
	cs       []candidate
	closeAll func()
	leader   term

	ctx     context.Context
	stop    context.CancelFunc
	waiting sync.WaitGroup
	elected chan term
}

// term is a leadership, or why there is none.
type term struct {
	candidate int
	at        time.Time
	resign    func() error
	err       error
}

// party makes n candidates stand for election and returns when one leads. The party is to be closed.
func (s side) party(ctx context.Context, election string, n int, ttl time.Duration) (*party, error) {
	cs, closeAll, err := s.openAll(ctx, n, ttl)
	if err != nil {
		return nil, err
	}
	p := &party{name: s.name, election: election, cs: cs, closeAll: closeAll, elected: make(chan term, n)}
	p.ctx, p.stop = context.WithCancel(ctx)
	for i := range cs {
		p.enter(i)
	}
	if p.leader, err = p.next(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// enter makes candidate i campaign.
func (p *party) enter(i int) {
	p.waiting.Go(func() {
		resign, err := p.cs[i].campaign(p.ctx, p.election)
		p.elected <- term{i, time.Now(), resign, err}
	})
}

// next waits for a leader.
func (p *party) next() (term, error) {
	select {
	case t := <-p.elected:
		if t.err != nil {
			return term{}, fmt.Errorf("%s: %w", p.name, t.err)
		}
		return t, nil
	case <-time.After(patience):
		return term{}, fmt.Errorf("%s: nobody led within %v", p.name, patience)
	case <-p.ctx.Done():
		return term{}, p.ctx.Err()
	}
}

// turn makes the leader resign and returns the time from just before that until another one leads. The one that has
// resigned stands for election again.
func (p *party) turn() (time.Duration, error) {
	if err := sleep(p.ctx, settling); err != nil {
		return 0, err
	}
	if len(p.elected) > 0 {
		return 0, fmt.Errorf("%s: another one leads, or has failed, before the leader resigned", p.name)
	}
	old := p.leader
	start := time.Now()
	if err := old.resign(); err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	next, err := p.next()
	if err != nil {
		p.leader.resign = nil
		return 0, err
	}
	p.leader = next
	p.enter(old.candidate)
	return next.at.Sub(start), nil
}

// close ends the election.
func (p *party) close() {
	p.stop()
	p.waiting.Wait()
	// What cannot be resigned goes with its client, or with the server.
	if p.leader.resign != nil {
		p.leader.resign()
	}
	for len(p.elected) > 0 {
		if t := <-p.elected; t.err == nil {
			t.resign()
		}
	}
	p.closeAll()
}
