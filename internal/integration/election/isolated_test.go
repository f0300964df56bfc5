package election_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/electiontest"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
)

// A trial cuts a leader off at some phase of its lease and compares when its work is told to end with when the next
// leader begins.
type trial struct {
	delay time.Duration // of each answer
	phase time.Duration // of the cut, after the leadership has begun
	hole  faultproxy.Faults
	heal  time.Duration // how long after the next leader has begun
}

var holes = []faultproxy.Faults{
	{BlackholeUp: true, BlackholeDown: true}, // nothing passes
	{BlackholeUp: true},                      // requests are lost
	{BlackholeDown: true},                    // requests are applied, answers are lost
}

// run returns how long before the next leader begins the old one's work ends.
func (c trial) run(t *testing.T, s stores.Store) time.Duration {
	name := random()
	var shifts electiontest.Shifts
	old, next := linked(t, s, s.Links(t), name, "old"), direct(t, s, name, "next")
	delay := faultproxy.Faults{Latency: c.delay / 2}
	old.link.Set(delay)
	first, _ := old.work(&shifts)
	before := within(t, patience, first, "the only candidate must lead")
	second, resign := next.work(&shifts)
	within(t, patience, next.queued, "a candidate must wait while another one leads")
	time.Sleep(c.phase)
	cut := c.hole
	cut.Latency = delay.Latency
	old.link.Set(cut)
	ended := within(t, patience, before.ended, "the work of a leader that is cut off must end")
	require.ErrorIs(t, before.cause, election.ErrLost)
	after := within(t, patience, second, "a leader that is cut off must be followed")
	require.Greater(t, after.term, before.term)
	time.Sleep(c.heal)
	old.link.Set(delay)
	select {
	case <-old.queued:
	case <-after.ended: // where the machine was too busy to keep this one
	case <-time.After(patience):
		require.FailNow(t, "too late", "a leader that was cut off must stand for election again")
	}
	resign()
	again := within(t, patience, first, "and lead in its turn")
	require.Greater(t, again.term, after.term)
	lead := after.begun.Sub(ended)
	require.NoError(t, shifts.Err(), "work must end before another leader starts: %+v, lead %v", c, lead)
	return lead
}

// atATime is how many trials run side by side on each engine: more would be late for want of CPU.
const atATime = 10

func TestIsolatedLeader(t *testing.T) { // T1
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var wg sync.WaitGroup
		var mu sync.Mutex
		least := time.Hour
		for i := range stores.Trials(t) {
			c := trial{
				delay: []time.Duration{0, 20, 200}[i%3] * time.Millisecond,
				phase: time.Duration(rnd.Int64N(int64(ttl))),
				hole:  holes[rnd.IntN(len(holes))],
				heal:  time.Duration(rnd.Int64N(int64(ttl / 4))),
			}
			wg.Go(func() {
				t.Run(fmt.Sprint(i), func(t *testing.T) { // which closes its clients
					lead := c.run(t, s)
					mu.Lock()
					defer mu.Unlock()
					least = min(least, lead)
				})
			})
			if i%atATime == atATime-1 {
				wg.Wait()
			}
		}
		wg.Wait()
		t.Logf("work heard of its end at least %v before the next leader began", least)
	})
}

// Whoever talks to nobody but a server that is cut off must hear of its loss before the others get on.
func TestLeaderByAServerThatIsCutOff(t *testing.T) { // T1
	stores.OnClusters(t, func(t *testing.T, s stores.Cluster) {
		for i := range max(1, stores.Trials(t)/15) {
			name := random()
			var shifts electiontest.Shifts
			leader := s.Leader(t)
			links := s.Links(t)
			old := linked(t, s, links[leader:leader+1], name, "old")
			next := linked(t, s, slices.Concat(links[:leader], links[leader+1:]), name, "next")
			first, stopOld := old.work(&shifts)
			before := within(t, ttl+slack, first, "the only candidate must lead")
			second, stopNext := next.work(&shifts)
			within(t, ttl, next.queued, "a candidate must wait while another one leads")
			time.Sleep(time.Duration(i) * ttl / 10)
			s.Isolate(leader)
			ended := within(t, ttl+slack, before.ended, "work must end when its server is cut off")
			after := within(t, patience, second, "a leader that is cut off must be followed")
			lead := after.begun.Sub(ended)
			s.Heal()
			stopNext()
			again := within(t, patience, first, "a leader that was cut off must lead in its turn")
			require.Greater(t, again.term, after.term)
			stopOld()
			require.NoError(t, shifts.Err(), "work must end before another leader starts")
			t.Logf("work heard of its end %v before the next leader began", lead)
		}
	})
}

// Candidates that know all servers go on when the one that leads these is cut off, and never two at once.
func TestServersLoseTheirLeader(t *testing.T) {
	stores.OnClusters(t, func(t *testing.T, s stores.Cluster) {
		name := random()
		var shifts electiontest.Shifts
		var stops []func()
		all := make(chan *shift, 1000)
		for i := range 3 {
			begun, stop := linked(t, s, s.Links(t), name, fmt.Sprint("n", i)).work(&shifts)
			stops = append(stops, stop)
			go func() {
				for {
					select {
					case b := <-begun:
						all <- b
					case <-t.Context().Done():
						return
					}
				}
			}()
		}
		now := within(t, ttl+slack, all, "one must lead")
		for range 2 {
			member := s.Leader(t)
			s.Isolate(member)
			s.Leader(t)
			time.Sleep(ttl)
			s.Heal()
			select { // where servers were quick nobody has noticed
			case <-now.ended:
				now = within(t, patience, all, "one must lead again")
			case <-time.After(ttl):
			}
		}
		l, err := direct(t, s, name, "observer").Leader(t.Context())
		require.NoError(t, err)
		t.Logf("term %d leads after %d shifts", l.Term, shifts.Count())
		for _, stop := range stops {
			stop()
		}
		require.NoError(t, shifts.Err(), "work must end before another leader starts")
	})
}
