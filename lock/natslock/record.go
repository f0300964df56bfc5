package natslock

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/concordkit/concord/lock"
)

// maxToken is the first number that a token cannot be.
const maxToken = 1 << 53

// record is a claim as its message shows it.
type record struct {
	order    uint64 // the sequence of the create: the place in line, and the token
	weight   int
	capacity int
	value    []byte
}

// encode returns the data of a message, "1 <order> <weight> <capacity>\n<value>", where 1 is the version. A create has the
// order 0, since its sequence is not known yet.
func (r record) encode() []byte {
	b := make([]byte, 0, len(r.value)+64)
	b = append(b, "1 "...)
	b = strconv.AppendUint(b, r.order, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.weight), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.capacity), 10)
	b = append(b, '\n')
	return append(b, r.value...)
}

// decodeRecord reads the data of the message with the sequence seq.
func decodeRecord(data []byte, seq uint64) (record, error) {
	head, value, ok := bytes.Cut(data, []byte("\n"))
	parts := strings.Split(string(head[:min(len(head), maxHead)]), " ")
	if !ok || len(parts) != 4 || parts[0] != "1" {
		return record{}, corrupt("claim", data)
	}
	order, err1 := strconv.ParseUint(parts[1], 10, 64)
	weight, err2 := strconv.ParseInt(parts[2], 10, 32)
	capacity, err3 := strconv.ParseInt(parts[3], 10, 32)
	if order == 0 {
		order = seq
	}
	if err1 != nil || err2 != nil || err3 != nil || order == 0 || order > seq || order >= maxToken ||
		weight < 1 || weight > capacity || capacity > lock.All {
		return record{}, corrupt("claim", data)
	}
	if len(value) == 0 {
		value = nil
	}
	return record{order, int(weight), int(capacity), value}, nil
}

// maxHead is longer than any head of a record.
const maxHead = 64

// encodeTTL returns ttl as the server counts it: whole seconds, at least one.
func encodeTTL(ttl time.Duration) string {
	return strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10)
}

// decodeTTL reads the TTL of a stored message.
func decodeTTL(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < 1 || n > uint64(lock.MaxTTL/time.Second) {
		return 0, corrupt("TTL of a claim", s)
	}
	return time.Duration(n) * time.Second, nil
}

func corrupt[T string | []byte](what string, v T) error {
	return fmt.Errorf("%w: %s: %.80q", lock.ErrCorrupt, what, v[:min(len(v), 80)])
}
