package lock

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"
)

// Limits of a claim, the same on every engine.
const (
	// MaxName is the longest Dir and the longest Name in bytes.
	MaxName = 256
	// MinTTL is the shortest TTL: below it a renewal and its margin no longer fit.
	MinTTL = 100 * time.Millisecond
	// MaxTTL is the longest TTL. Leases are renewed, so a longer one would only delay the next holder after a crash.
	MaxTTL = time.Hour
)

// prepare returns c with its defaults and an ID, or an error that names what is wrong with it.
func (l *Locker) prepare(c Claim) (Claim, error) {
	if err := l.usable(); err != nil {
		return c, err
	}
	if c.Capacity == 0 {
		c.Capacity = All
	}
	if c.Weight == 0 {
		c.Weight = c.Capacity
	}
	if c.TTL == 0 {
		c.TTL = l.ttl
	}
	if err := c.check(); err != nil {
		return c, err
	}
	c.ID = newID()
	return c, nil
}

// usable returns what New found wrong.
func (l *Locker) usable() error {
	if l.b == nil {
		return fmt.Errorf("%w: nil Backend, or a Locker that New has not made", ErrInvalid)
	}
	return l.err
}

func (c Claim) check() error {
	if err := checkName("directory", c.Dir); err != nil {
		return err
	}
	if err := checkName("name", c.Name); err != nil {
		return err
	}
	switch {
	case c.Dir == "" && c.Name == "":
		return fmt.Errorf("%w: empty name", ErrInvalid)
	case c.ID != "":
		return fmt.Errorf("%w: claim has the ID %.40q: the Locker sets it", ErrInvalid, c.ID)
	case c.Capacity < 1 || c.Capacity > All:
		return fmt.Errorf("%w: capacity %d: want 1 to %d", ErrInvalid, c.Capacity, All)
	case c.Weight < 1 || c.Weight > c.Capacity:
		return fmt.Errorf("%w: weight %d: want 1 to the capacity, %d", ErrInvalid, c.Weight, c.Capacity)
	}
	return checkTTL(c.TTL)
}

func checkName(what, s string) error {
	if len(s) > MaxName {
		return fmt.Errorf("%w: %s %.40q… has %d bytes: want at most %d", ErrInvalid, what, s, len(s), MaxName)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s %.40q is not UTF-8", ErrInvalid, what, s)
	}
	return nil
}

func checkTTL(d time.Duration) error {
	if d < MinTTL || d > MaxTTL {
		return fmt.Errorf("%w: TTL %v: want %v to %v", ErrInvalid, d, MinTTL, MaxTTL)
	}
	return nil
}

// fit checks what depends on the engine.
func (i Info) fit(c Claim) error {
	if c.TTL < i.Granularity {
		return fmt.Errorf("%w: TTL %v: this engine takes %v or more", ErrInvalid, c.TTL, i.Granularity)
	}
	return i.fitValue(c.Value)
}

func (i Info) fitValue(v []byte) error {
	if len(v) > i.MaxValue {
		return fmt.Errorf("%w: value of %d bytes: this engine takes at most %d", ErrInvalid, len(v), i.MaxValue)
	}
	return nil
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
