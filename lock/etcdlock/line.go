package etcdlock

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/concordkit/concord/lock"
)

// lineOf returns what all keys of c's line start with. Escaped names hold neither '/' nor '=', so no line is within another
// one, and a stock recipe on one of them sees none of the others.
func (b *Backend) lineOf(c lock.Claim) string {
	switch {
	case c.Dir == "":
		return b.prefix + url.QueryEscape(c.Name) + "/"
	case c.Name == "":
		return b.ownLine(c.Dir)
	}
	return b.named(c.Dir) + url.QueryEscape(c.Name) + "/"
}

// ownLine is the line of a directory itself.
func (b *Backend) ownLine(dir string) string { return b.dirs + url.QueryEscape(dir) + "/" }

// named is what the lines of all names in a directory start with.
func (b *Backend) named(dir string) string { return b.dirs + "=" + url.QueryEscape(dir) + "/" }

func (b *Backend) tomb(id string) string { return b.prefix + "=gone/" + id }

// leaf is the last part of a claim's key. An exclusive claim looks like a stock one.
func leaf(c lock.Claim) string {
	if c.Weight == lock.All && c.Capacity == lock.All {
		return c.ID
	}
	return fmt.Sprintf("%s.%d.%d", c.ID, c.Weight, c.Capacity)
}

// entry is a claim as it stands in line.
type entry struct {
	key              string
	rev              int64 // create revision
	weight, capacity int
}

// decode reads a key of the line: false if it is not one of its claims but deeper.
func decode(line string, kv *mvccpb.KeyValue) (entry, bool, error) {
	key := string(kv.Key)
	leaf, ok := strings.CutPrefix(key, line)
	if !ok || strings.Contains(leaf, "/") {
		return entry{}, false, nil
	}
	e := entry{key, kv.CreateRevision, lock.All, lock.All}
	if _, size, weighted := strings.Cut(leaf, "."); weighted {
		weight, capacity, _ := strings.Cut(size, ".")
		var errs [2]error
		e.weight, errs[0] = strconv.Atoi(weight)
		e.capacity, errs[1] = strconv.Atoi(capacity)
		if errs != [2]error{} || e.weight < 1 || e.weight > e.capacity || e.capacity > lock.All {
			return entry{}, false, fmt.Errorf("%w: key %q", lock.ErrCorrupt, key)
		}
	}
	return e, true, nil
}

// id returns the claim's ID, which is the first part of the last one of its key.
func (e entry) id() string {
	id, _, _ := strings.Cut(e.key[strings.LastIndexByte(e.key, '/')+1:], ".")
	return id
}

// line is a line as it was read.
type line struct {
	entries []entry // in order
	holding int     // how many at the head hold
	at      int64   // the revision of the read
}

// decodeLine reads what a line has at a revision.
func decodeLine(prefix string, kvs []*mvccpb.KeyValue, at int64) (*line, error) {
	l := &line{entries: make([]entry, 0, len(kvs)+1), at: at}
	for _, kv := range kvs {
		e, ok, err := decode(prefix, kv)
		if err != nil {
			return nil, err
		}
		if ok {
			l.entries = append(l.entries, e)
		}
	}
	slices.SortFunc(l.entries, func(a, b entry) int { return cmp.Compare(a.rev, b.rev) })
	l.holding = holders(l.entries)
	return l, nil
}

// admits reports whether one more claim would hold at once.
func (l *line) admits(c lock.Claim) bool {
	return holders(append(slices.Clip(l.entries), entry{weight: c.Weight, capacity: c.Capacity})) > len(l.entries)
}

// holders returns how many at the head of a line hold.
func holders(es []entry) int {
	cs := make([]lock.Claim, len(es))
	for i, e := range es {
		cs[i].Weight, cs[i].Capacity = e.weight, e.capacity
	}
	return lock.Fits(cs)
}
