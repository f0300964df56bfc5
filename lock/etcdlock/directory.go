package etcdlock

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// directory is what a Watch knows.
type directory struct {
	cli        *clientv3.Client
	own, named string             // what the keys of its own line and of those of its names start with
	rev        int64              // at which it was read
	lines      map[string][]shown // by name, in order; the directory's own is ""
}

// shown is a claim with its value.
type shown struct {
	entry
	value []byte
}

func (b *Backend) directory(dir string) *directory {
	return &directory{cli: b.cli, own: b.ownLine(dir), named: b.named(dir)}
}

// read replaces what is known, within limit.
func (d *directory) read(ctx context.Context, limit time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	r, err := read(ctx, limit/4, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return d.cli.Txn(ctx).Then(
			clientv3.OpGet(d.own, clientv3.WithPrefix()), clientv3.OpGet(d.named, clientv3.WithPrefix())).Commit()
	})
	if err != nil {
		return err
	}
	d.rev, d.lines = r.Header.Revision, make(map[string][]shown)
	for _, part := range r.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			if err := d.put(kv); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply applies changes; what was read already is not news.
func (d *directory) apply(events []*clientv3.Event) error {
	for _, ev := range events {
		if ev.Kv.ModRevision <= d.rev {
			continue
		}
		if ev.Type == clientv3.EventTypeDelete {
			d.remove(string(ev.Kv.Key))
		} else if err := d.put(ev.Kv); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) put(kv *mvccpb.KeyValue) error {
	line := lineOf(string(kv.Key))
	name, ok, err := d.name(line)
	if !ok || err != nil {
		return err
	}
	e, ok, err := decode(line, kv)
	if !ok {
		return err
	}
	es := slices.DeleteFunc(d.lines[name], func(o shown) bool { return o.key == e.key })
	i, _ := slices.BinarySearchFunc(es, e.rev, func(o shown, rev int64) int { return cmp.Compare(o.rev, rev) })
	d.lines[name] = slices.Insert(es, i, shown{e, kv.Value})
	return nil
}

func (d *directory) remove(key string) {
	name, ok, err := d.name(lineOf(key))
	if !ok || err != nil {
		return
	}
	es := slices.DeleteFunc(d.lines[name], func(e shown) bool { return e.key == key })
	if d.lines[name] = es; len(es) == 0 {
		delete(d.lines, name)
	}
}

func lineOf(key string) string { return key[:strings.LastIndexByte(key, '/')+1] }

// name returns whose line it is, "" for the directory's own; false for what lies deeper.
func (d *directory) name(line string) (string, bool, error) {
	if line == d.own {
		return "", true, nil
	}
	escaped, ok := strings.CutPrefix(line, d.named)
	escaped = strings.TrimSuffix(escaped, "/")
	if !ok || escaped == "" || strings.Contains(escaped, "/") {
		return "", false, nil
	}
	name, err := url.QueryUnescape(escaped)
	if err != nil {
		err = fmt.Errorf("%w: key %q: %w", lock.ErrCorrupt, line, err)
	}
	return name, true, err
}

// holders returns a set of its own.
func (d *directory) holders() []lock.Holder {
	hs := []lock.Holder{}
	for name, es := range d.lines {
		line := make([]entry, len(es))
		for i, e := range es {
			line[i] = e.entry
		}
		for _, e := range es[:holders(line)] {
			hs = append(hs, lock.Holder{Name: name, ID: e.id(), Token: lock.Token(e.rev), Weight: e.weight, Value: e.value})
		}
	}
	return hs
}

// follow returns what changes after the read, until stop returns or a response has an error.
func (d *directory) follow() (<-chan clientv3.WatchResponse, func()) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(d.cli.Ctx()))
	changes, from := make(chan clientv3.WatchResponse), d.rev+1
	var work sync.WaitGroup
	for _, prefix := range []string{d.own, d.named} {
		work.Go(func() {
			for r := range d.cli.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
				forward(ctx, changes, r)
			}
			forward(ctx, changes, clientv3.WatchResponse{Canceled: true}) // ended: also when the client was closed
		})
	}
	return changes, func() { cancel(); work.Wait() }
}

func forward(ctx context.Context, to chan<- clientv3.WatchResponse, r clientv3.WatchResponse) {
	select {
	case to <- r:
	case <-ctx.Done():
	}
}
