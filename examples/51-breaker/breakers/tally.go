package breakers

import (
	"errors"
	"fmt"
)

// tally is what became of calls. One that was refused did not reach the server and took no time.
type tally struct{ calls, reached, refused int }

// String returns a few words for people.
func (t tally) String() string {
	return fmt.Sprintf("%d calls, %d reach the server, %d are refused", t.calls, t.reached, t.refused)
}

// count makes calls one after the other. The server counts what reaches it; what is refused is told by its error.
func (s *server) count(calls int, refusal error, call func() error) tally {
	before, t := s.reached, tally{calls: calls}
	for range calls {
		if errors.Is(call(), refusal) {
			t.refused++
		}
	}
	t.reached = s.reached - before
	return t
}
