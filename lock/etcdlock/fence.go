package etcdlock

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

// Owner returns a condition for a transaction of the caller's own, on the same cluster: it holds while the lease with
// that claim and token is there, and never for the token 0. A transaction under it is applied before the next holder exists, or not at all.
//
//	c := lease.Claim()
//	cli.Txn(ctx).If(b.Owner(c, lease.Token())).Then(clientv3.OpPut("balance", "7")).Commit()
func (b *Backend) Owner(c lock.Claim, t lock.Token) clientv3.Cmp {
	// What is not there has the revision 0, and no key has 1.
	return clientv3.Compare(clientv3.CreateRevision(b.lineOf(c)+leaf(c)), "=", max(int64(t), 1))
}

// Fence writes keys of etcd with the token of the lease that covers them, and refuses writes with the token of an
// earlier holder. Beside each key it keeps a mark, the highest token seen, in the key <key>/fence, so that no key may end in that. Marks do not expire: a
// holder may come back after any time. Unlike [Backend.Owner] it takes tokens of any backend.
type Fence struct{ kv clientv3.KV }

// NewFence returns a Fence for the keys of kv.
func NewFence(kv clientv3.KV) *Fence { return &Fence{kv} }

// Put writes value to key unless a higher token was seen; then it returns an error that wraps [fence.ErrStale]. An error
// that wraps [lock.ErrUnknownOutcome] may have written; repeating it is safe.
func (f *Fence) Put(ctx context.Context, key, value string, t lock.Token, opts ...clientv3.OpOption) error {
	return f.write(ctx, key, t, clientv3.OpPut(key, value, opts...))
}

// Delete deletes key unless a higher token was seen, with the errors of Put. The mark stays.
func (f *Fence) Delete(ctx context.Context, key string, t lock.Token) error {
	return f.write(ctx, key, t, clientv3.OpDelete(key))
}

const markSuffix = "/fence"

// markDigits makes the order of marks as text that of their numbers.
const markDigits = 20

func (f *Fence) write(ctx context.Context, key string, t lock.Token, op clientv3.Op) error {
	c := lock.Claim{Name: key}
	if key == "" || strings.HasSuffix(key, markSuffix) || t == 0 {
		return fail("write", c, fmt.Errorf("%w: token %d: want a key that is no mark and a token above 0", lock.ErrInvalid, t))
	}
	mark := key + markSuffix
	both := []clientv3.Op{op, clientv3.OpPut(mark, pad(t))}
	atMost := clientv3.Compare(clientv3.Value(mark), "<", pad(t)+"0") // a longer text is the next one
	fresh := clientv3.Compare(clientv3.CreateRevision(mark), "=", 0)
	r, err := f.kv.Txn(ctx).If(fresh).Then(both...).
		Else(clientv3.OpTxn([]clientv3.Cmp{atMost}, both, []clientv3.Op{clientv3.OpGet(mark)})).Commit()
	if err != nil {
		return fail("write", c, err)
	}
	if r.Succeeded {
		return nil
	}
	inner := r.Responses[0].GetResponseTxn()
	if inner.Succeeded {
		return nil
	}
	return refuse(c, string(inner.Responses[0].GetResponseRange().Kvs[0].Value), t)
}

// refuse says why a mark refuses t.
func refuse(c lock.Claim, mark string, t lock.Token) error {
	seen, err := strconv.ParseUint(mark, 10, 64)
	if err != nil || len(mark) != markDigits {
		return fail("write", c, fmt.Errorf("%w: mark %.40q", lock.ErrCorrupt, mark))
	}
	return fail("write", c, fmt.Errorf("%w: %d, and the key has seen %d", fence.ErrStale, t, seen))
}

func pad(t lock.Token) string { return fmt.Sprintf("%0*d", markDigits, uint64(t)) }
