package redislock

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/concordkit/concord/lock"
)

// maxToken is the first number that a token cannot be.
const maxToken = 1 << 53

// lookMargin is how long after its end a claim ahead is looked for: the script that finds it dead must run later than
// its last microsecond, also where the clocks of two machines run at slightly different rates.
const lookMargin = 2 * time.Millisecond

// decodeState reads the reply {phase, token, look in µs} of acquire and renew.
func decodeState(reply any) (lock.State, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 3 {
		return lock.State{}, corrupt("reply", reply)
	}
	phase, ok1 := parts[0].(int64)
	text, ok2 := parts[1].(string)
	look, ok3 := parts[2].(int64)
	if !ok1 || !ok2 || !ok3 || look < 0 || look > lock.MaxTTL.Microseconds() {
		return lock.State{}, corrupt("reply", reply)
	}
	st := lock.State{Phase: lock.Phase(phase)}
	switch st.Phase {
	case lock.Gone:
		return st, nil
	case lock.Queued:
		if look > 0 {
			st.Look = time.Duration(look)*time.Microsecond + lookMargin
		}
		return st, nil
	case lock.Held:
		token, err := decodeToken(text)
		st.Token = token
		return st, err
	}
	return lock.State{}, corrupt("reply", reply)
}

func decodeToken(s string) (lock.Token, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n >= maxToken {
		return 0, corrupt("token", s)
	}
	return lock.Token(n), nil
}

// decodePush reads a pushed grant, "<id> <token>".
func decodePush(payload string) (id string, t lock.Token, ok bool) {
	id, text, ok := strings.Cut(payload, " ")
	if !ok || id == "" {
		return "", 0, false
	}
	t, err := decodeToken(text)
	return id, t, err == nil
}

// view is what a snapshot shows.
type view struct {
	holders []lock.Holder
	soonest time.Duration // until the first of them ends, 0 without any
	dead    []string      // names that keep fields of claims that ended
}

// decodeSnapshot reads the reply of snapshot.
func decodeSnapshot(reply any) (view, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 2 {
		return view{}, corrupt("snapshot", reply)
	}
	now, ok := decodeClock(parts[0])
	fields, ok2 := decodeFields(parts[1])
	if !ok || !ok2 {
		return view{}, corrupt("snapshot", reply)
	}
	var v view
	for field, line := range fields {
		var err error
		switch {
		case strings.HasPrefix(field, "h"):
			err = v.add(field[1:], line, fields, now)
		case strings.HasPrefix(field, "q") && fields["h"+field[1:]] == "":
			v.dead = append(v.dead, field[1:]) // nobody holds: what waits is dead, or is about to be let in
		}
		if err != nil {
			return view{}, err
		}
	}
	return v, nil
}

// add reads the holders of one name.
func (v *view) add(name, line string, fields map[string]string, now int64) error {
	for line != "" {
		r, rest, ok := cutRecord(line)
		if !ok {
			return corrupt("holders of "+name, line)
		}
		line = rest
		ends, err := strconv.ParseInt(cmp.Or(fields["x"+r.id], "0"), 10, 64)
		if err != nil || ends < 0 || ends >= maxToken {
			return corrupt("end of a holder of "+name, fields["x"+r.id])
		}
		if ends <= now {
			v.dead = append(v.dead, name)
			continue
		}
		left := time.Duration(ends-now) * time.Microsecond
		if v.soonest == 0 || left < v.soonest {
			v.soonest = left
		}
		h := lock.Holder{Name: name, ID: r.id, Token: r.token, Weight: r.weight}
		if value := fields["v"+r.id]; value != "" {
			h.Value = []byte(value)
		}
		v.holders = append(v.holders, h)
	}
	return nil
}

func decodeClock(v any) (micros int64, ok bool) {
	parts, ok := v.([]any)
	if !ok || len(parts) != 2 {
		return 0, false
	}
	var n [2]int64
	for i, p := range parts {
		s, _ := p.(string)
		var err error
		if n[i], err = strconv.ParseInt(s, 10, 64); err != nil || n[i] < 0 || n[i] > maxToken/1_000_000 {
			return 0, false
		}
	}
	return n[0]*1_000_000 + n[1], true
}

// decodeFields reads a hash as RESP2 sends it from a script, a list, or as a map.
func decodeFields(v any) (map[string]string, bool) {
	fields := map[string]string{}
	put := func(k, v any) bool {
		field, ok1 := k.(string)
		value, ok2 := v.(string)
		fields[field] = value
		return ok1 && ok2
	}
	switch v := v.(type) {
	case []any:
		for i := 0; i+1 < len(v); i += 2 {
			if !put(v[i], v[i+1]) {
				return nil, false
			}
		}
		return fields, len(v)%2 == 0
	case map[any]any:
		for k, v := range v {
			if !put(k, v) {
				return nil, false
			}
		}
		return fields, true
	}
	return nil, false
}

// record is a holder as line.lua writes it.
type record struct {
	id     string
	weight int
	token  lock.Token
}

// cutRecord reads "\n<id> <weight> <capacity> <token>" and returns what follows it.
func cutRecord(line string) (r record, rest string, ok bool) {
	line, ok = strings.CutPrefix(line, "\n")
	if !ok {
		return r, line, false
	}
	text := line
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		text, rest = line[:i], line[i:]
	}
	parts := strings.Split(text, " ")
	if len(parts) != 4 || parts[0] == "" {
		return r, rest, false
	}
	weight, err1 := strconv.ParseInt(parts[1], 10, 32)
	_, err2 := strconv.ParseInt(parts[2], 10, 32)
	token, err3 := decodeToken(parts[3])
	if err1 != nil || err2 != nil || err3 != nil || weight < 1 {
		return r, rest, false
	}
	return record{parts[0], int(weight), token}, rest, true
}

func corrupt(what string, v any) error {
	return fmt.Errorf("%w: %s: %.80q", lock.ErrCorrupt, what, fmt.Sprint(v))
}
