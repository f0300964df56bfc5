package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/lock"
)

// watch follows the directory, with another watch whenever one has ended.
func (m *Member) watch(dir string) {
	strange := map[string]bool{} // what has been refused, so that it is told once
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		w, err := m.locks.Watch(m.life, dir)
		if err == nil {
			pause = minPause
			err = m.see(w, strange)
		}
		if m.life.Err() != nil {
			return
		}
		m.mu.Lock()
		m.view.live = false
		m.mu.Unlock()
		m.notify()
		m.trace.blind(m.name, err)
		if errors.Is(err, lock.ErrClosed) || !sleep(m.life, pause/2+rand.N(pause/2)) {
			return
		}
	}
}

// see takes what w shows, until w ends.
func (m *Member) see(w *lock.Watch, strange map[string]bool) error {
	for hs, err := range w.All(m.life) {
		if err != nil {
			return err
		}
		now := map[string]bool{}
		v := read(hs, func(err error) {
			if now[err.Error()] = true; !strange[err.Error()] {
				m.trace.refused(m.name, err)
			}
		})
		clear(strange)
		for text := range now {
			strange[text] = true
		}
		m.mu.Lock()
		m.view = v
		m.mu.Unlock()
		m.notify()
	}
	return nil
}

// listen passes the breaker's transitions on.
func (m *Member) listen(follow *breaker.Transitions, to chan<- breaker.Transition) {
	for t, err := range follow.All(m.life) {
		if err != nil {
			return
		}
		select {
		case to <- t:
		case <-m.life.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
