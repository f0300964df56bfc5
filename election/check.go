package election

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/concordkit/concord/lock"
)

// check returns what is wrong with what New was given.
func (e *Election) check() error {
	switch {
	case e.locks == nil:
		return fmt.Errorf("election: %w: nil Locker", ErrInvalid)
	case e.ttl != 0 && (e.ttl < lock.MinTTL || e.ttl > lock.MaxTTL):
		return fmt.Errorf("election: %w: TTL %v: want %v to %v", ErrInvalid, e.ttl, lock.MinTTL, lock.MaxTTL)
	case e.id != "":
		if err := checkID(e.id); err != nil {
			return err
		}
	}
	return checkName("name", e.name)
}

// usable returns what New found wrong.
func (e *Election) usable() error {
	if e.err == nil && e.locks == nil {
		return fmt.Errorf("election: %w: an Election that New has not made", ErrInvalid)
	}
	return e.err
}

// candidate returns what keeps e from standing for election.
func (e *Election) candidate() error {
	if err := e.usable(); err != nil {
		return err
	}
	return checkID(e.id)
}

func checkID(id string) error {
	if strings.ContainsRune(id, 0) {
		return fmt.Errorf("election: %w: ID %.40q contains a NUL", ErrInvalid, id)
	}
	return checkName("ID", id)
}

func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("election: %w: empty %s: want 1 to %d bytes", ErrInvalid, what, lock.MaxName)
	case len(s) > lock.MaxName:
		return fmt.Errorf("election: %w: %s %.40q… has %d bytes: want at most %d", ErrInvalid, what, s, len(s), lock.MaxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("election: %w: %s %.40q is not UTF-8", ErrInvalid, what, s)
	}
	return nil
}
