package locktest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

// view follows a directory as a map from name to value.
type view struct {
	s    *suite
	sets chan map[string]string
}

func (s *suite) watch(dir string) *view {
	s.Helper()
	ctx, stop := context.WithCancel(s.Context())
	w, err := s.locker().Watch(ctx, dir)
	require.NoError(s, err)
	v := &view{s: s, sets: make(chan map[string]string, 100)}
	done := make(chan struct{})
	s.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for hs, err := range w.All(ctx) {
			if err != nil {
				return
			}
			set := map[string]string{}
			for _, h := range hs {
				set[h.Name] = string(h.Value)
			}
			v.sets <- set
		}
	}()
	return v
}

// shows waits until the set is the one wanted; sets that were replaced at once may be skipped.
func (v *view) shows(within time.Duration, want map[string]string) {
	v.s.Helper()
	timeout := time.After(within)
	var last map[string]string
	for {
		select {
		case last = <-v.sets:
			if maps.Equal(last, want) {
				return
			}
		case <-timeout:
			require.Equal(v.s, fmt.Sprint(want), fmt.Sprint(last), "a watch must show the last change")
			return
		}
	}
}

func watchShows(s *suite) {
	dir := s.name()
	l := s.locker()
	before := s.hold(l, lock.Claim{Dir: dir, Name: "before", Value: []byte("v")})
	s.hold(l, lock.Claim{Name: dir})                 // no directory
	s.hold(l, lock.Claim{Dir: dir + "/", Name: "x"}) // another one
	v := s.watch(dir)
	v.shows(s.ttl, map[string]string{"before": "v"})
	n1 := s.hold(l, lock.Claim{Dir: dir, Name: "n1", Value: []byte("a")})
	v.shows(s.ttl/4, map[string]string{"before": "v", "n1": "a"})
	w := s.wait(s.Context(), lock.Claim{Dir: dir, Name: "n1", Value: []byte("next")})
	require.NoError(s, n1.SetValue(s.Context(), []byte("b")))
	v.shows(s.ttl/4, map[string]string{"before": "v", "n1": "b"}) // waiters are not shown
	s.release(n1)
	v.shows(s.ttl/4, map[string]string{"before": "v", "n1": "next"})
	s.release(w.pushed(), before)
	v.shows(s.ttl/4, map[string]string{})
	own := s.hold(l, lock.Claim{Dir: dir, Value: []byte("\x00\xff ünï\n")}) // the directory's own line
	v.shows(s.ttl/4, map[string]string{"": "\x00\xff ünï\n"})
	s.release(own)
	v.shows(s.ttl/4, map[string]string{})
}

func watchSeesExpiry(s *suite) {
	dir := s.name()
	v := s.watch(dir)
	c := s.claim("dead")
	c.Dir = dir
	s.abandon(s.connect(), c)
	v.shows(s.ttl/4, map[string]string{"dead": ""})
	v.shows(s.ttl+slack, map[string]string{})
}

func watchEnds(s *suite) {
	l, dir := s.locker(), s.name()
	ctx, stop := context.WithCancelCause(s.Context())
	w, err := l.Watch(ctx, dir)
	require.NoError(s, err)
	require.Empty(s, w.Holders(), "the first set must come even if nobody holds")
	loop, stopLoop := context.WithCancel(s.Context())
	stopLoop()
	require.ErrorIs(s, lastError(w, loop), context.Canceled, "a loop must end with its own context")
	why := fmt.Errorf("enough")
	stop(why)
	require.ErrorIs(s, lastError(w, s.Context()), why, "a watch must end with the cause of its context")
	_, err = l.Watch(ctx, dir)
	require.ErrorIs(s, err, context.Canceled)
}

// lastError runs a loop to its end.
func lastError(w *lock.Watch, ctx context.Context) (last error) {
	for _, err := range w.All(ctx) {
		last = err
	}
	return last
}

func valuesShown(s *suite) {
	dir, b := s.name(), s.connect()
	info, err := b.Info(s.Context())
	require.NoError(s, err)
	l := s.locker()
	most := strings.Repeat("v", info.MaxValue)
	_, err = l.Claim(s.Context(), lock.Claim{Dir: dir, Name: "a", Value: []byte(most + "v")})
	require.ErrorIs(s, err, lock.ErrInvalid, "a value over the limit must be refused")
	lease := s.hold(l, lock.Claim{Dir: dir, Name: "a", Value: []byte(most)})
	v := s.watch(dir)
	v.shows(s.ttl, map[string]string{"a": most})
	require.ErrorIs(s, lease.SetValue(s.Context(), []byte(most+"v")), lock.ErrInvalid)
	require.NoError(s, lease.SetValue(s.Context(), nil))
	v.shows(s.ttl/4, map[string]string{"a": ""})
	s.release(lease)
	require.ErrorIs(s, lease.SetValue(s.Context(), nil), lock.ErrReleased)
}

func statesInOrder(s *suite) {
	b := s.connect()
	name := s.name()
	held, queued, gone := s.claim(name), s.claim(name), s.claim(name)
	token := s.abandon(b, held).Token
	s.abandon(b, queued)
	states, err := b.Renew(s.Context(), []lock.Claim{gone, queued, held})
	require.NoError(s, err)
	require.Len(s, states, 3)
	require.Equal(s, lock.Gone, states[0].Phase)
	require.Equal(s, lock.Queued, states[1].Phase)
	require.Equal(s, lock.Held, states[2].Phase)
	require.Equal(s, token, states[2].Token)
	states, err = b.Renew(s.Context(), nil)
	require.NoError(s, err)
	require.Empty(s, states)
}

func infoSays(s *suite) {
	info, err := s.connect().Info(s.Context())
	require.NoError(s, err)
	require.GreaterOrEqual(s, info.Guarantee, lock.Process)
	require.LessOrEqual(s, info.Guarantee, lock.Consensus)
	require.Positive(s, info.Granularity)
	require.LessOrEqual(s, info.Granularity, s.ttl, "the suite's TTL must be one that the engine takes")
	require.GreaterOrEqual(s, info.MaxValue, 1<<10, "a value of 1 KiB must fit")
}
