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

// line returns what all keys of c's line start with. Escaped names hold neither '/' nor '=', so no line is within another
// one, and a stock recipe on one of them sees none of the others.
func (b *Backend) line(c lock.Claim) string {
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
	lock.Claim // ID, Weight, Capacity and Value
	key        string
	rev        int64 // create revision
}

// decode reads a key of the line: false if it is not one of its claims but deeper.
func decode(line string, kv *mvccpb.KeyValue) (entry, bool, error) {
	key := string(kv.Key)
	leaf, ok := strings.CutPrefix(key, line)
	if !ok || strings.Contains(leaf, "/") {
		return entry{}, false, nil
	}
	e := entry{key: key, rev: kv.CreateRevision}
	id, size, weighted := strings.Cut(leaf, ".")
	e.ID, e.Weight, e.Capacity, e.Value = id, lock.All, lock.All, kv.Value
	if weighted {
		weight, capacity, _ := strings.Cut(size, ".")
		var errs [2]error
		e.Weight, errs[0] = strconv.Atoi(weight)
		e.Capacity, errs[1] = strconv.Atoi(capacity)
		ok = errs == [2]error{} && e.Weight >= 1 && e.Weight <= e.Capacity && e.Capacity <= lock.All
	}
	if !ok {
		return entry{}, false, fmt.Errorf("%w: key %q", lock.ErrCorrupt, key)
	}
	return e, true, nil
}

// decodeLine returns the claims of a line in their order.
func decodeLine(line string, kvs []*mvccpb.KeyValue) ([]entry, error) {
	es := make([]entry, 0, len(kvs)+1)
	for _, kv := range kvs {
		e, ok, err := decode(line, kv)
		if err != nil {
			return nil, err
		}
		if ok {
			es = append(es, e)
		}
	}
	slices.SortFunc(es, func(a, b entry) int { return cmp.Compare(a.rev, b.rev) })
	return es, nil
}

// holders returns how many at the head of a line hold.
func holders(line []entry) int {
	cs := make([]lock.Claim, len(line))
	for i, e := range line {
		cs[i] = e.Claim
	}
	return lock.Fits(cs)
}
