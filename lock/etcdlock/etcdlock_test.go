package etcdlock

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

func TestBadOptions(t *testing.T) {
	for want, b := range map[string]*Backend{
		"nil client":                         New(nil, nil),
		"neither may begin with the other":   New(new(clientv3.Client), &Options{Prefix: "jobs/", Dirs: "jobs/dirs/"}),
		"neither may begin with the other ":  New(new(clientv3.Client), &Options{Prefix: "concord/dir/x"}),
		"neither may begin with the other  ": New(new(clientv3.Client), &Options{Prefix: "a", Dirs: "a"}),
	} {
		_, err := lock.New(b, nil).Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid, want)
		require.ErrorContains(t, err, strings.TrimRight(want, " "))
		c := lock.Claim{Name: "a", ID: "id", Weight: 1, Capacity: 1}
		_, err = b.Acquire(t.Context(), c, nil)
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.Renew(t.Context(), []lock.Claim{c})
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.Release(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.SetValue(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorIs(t, b.Watch(t.Context(), "d", lock.MinTTL, nil), lock.ErrInvalid)
	}
}

func TestLinesAreStockLayout(t *testing.T) {
	b := New(new(clientv3.Client), nil)
	for want, c := range map[string]lock.Claim{
		"concord/lock/invoice-42/": {Name: "invoice-42"},
		"concord/lock/jobs%2F1/":   {Name: "jobs/1"},
		"concord/dir/scheduler/":   {Dir: "scheduler"},
		"concord/dir/=ring/n+1/":   {Dir: "ring", Name: "n 1"},
		"concord/dir/%3Dring/":     {Dir: "=ring"},
		"concord/lock/%3Dgone/":    {Name: "=gone"},
	} {
		require.Equal(t, want, b.lineOf(c))
	}
}

// No line may be within another one: a stock recipe counts whatever lies below its prefix.
func FuzzLines(f *testing.F) {
	f.Add("", "a", "", "a/b")
	f.Add("a", "", "", "a")
	f.Add("a", "b", "a", "")
	f.Add("=a", "", "a", "b")
	f.Add("a", "=gone", "", "=gone")
	b := New(new(clientv3.Client), nil)
	f.Fuzz(func(t *testing.T, dir1, name1, dir2, name2 string) {
		one, two := lock.Claim{Dir: dir1, Name: name1}, lock.Claim{Dir: dir2, Name: name2}
		if dir1+name1 == "" || dir2+name2 == "" {
			return
		}
		same := dir1 == dir2 && name1 == name2
		if strings.HasPrefix(b.lineOf(one), b.lineOf(two)) != same {
			t.Fatalf("%+v and %+v have the lines %q and %q", one, two, b.lineOf(one), b.lineOf(two))
		}
		if strings.HasPrefix(b.lineOf(one), b.tomb("")) {
			t.Fatalf("%+v has its line among the tombs: %q", one, b.lineOf(one))
		}
		if dir1 == "" {
			return
		}
		d := b.directory(dir1)
		if name, ok, err := d.name(b.lineOf(one)); !ok || err != nil || name != name1 {
			t.Fatalf("%+v is found as %q, %v, %v", one, name, ok, err)
		}
		if _, ok, _ := d.name(b.lineOf(two)); ok != (dir1 == dir2) {
			t.Fatalf("%+v is %v in the directory %q", two, ok, dir1)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, leaf := range []string{"id", "id.1.2", "id.2.1", "id.1", "id.1.2.3", "id.x.y", "id.0.1", "id.1.99999999999", "694d7a2c", "a/b", "", "."} {
		f.Add(leaf)
	}
	f.Fuzz(func(t *testing.T, leafText string) {
		e, ok, err := decode("line/", &mvccpb.KeyValue{Key: []byte("line/" + leafText), CreateRevision: 5})
		switch {
		case err != nil:
			require.ErrorIs(t, err, lock.ErrCorrupt)
			require.False(t, ok)
		case strings.Contains(leafText, "/"):
			require.False(t, ok)
		default:
			require.True(t, ok)
			require.True(t, 1 <= e.weight && e.weight <= e.capacity && e.capacity <= lock.All)
			require.EqualValues(t, 5, e.rev)
		}
	})
}

func TestLeavesComeBack(t *testing.T) {
	for _, c := range []lock.Claim{
		{ID: "id", Weight: lock.All, Capacity: lock.All},
		{ID: "id", Weight: 1, Capacity: lock.All},
		{ID: "id", Weight: 2, Capacity: 3},
	} {
		e, ok, err := decode("l/", &mvccpb.KeyValue{Key: []byte("l/" + leaf(c))})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, c, lock.Claim{ID: e.id(), Weight: e.weight, Capacity: e.capacity})
	}
}

func TestErrorsSayWhatIsKnown(t *testing.T) {
	c := lock.Claim{Name: "a"}
	require.NoError(t, fail("release", c, nil))
	err := fail("release", c, context.DeadlineExceeded)
	require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	require.ErrorContains(t, err, `etcdlock: release "a": `)
	for _, err := range []error{rpctypes.ErrTimeout, rpctypes.ErrLeaderChanged, rpctypes.ErrNoSpace} {
		require.ErrorIs(t, fail("acquire", c, err), lock.ErrUnknownOutcome)
	}
	for _, err := range []error{rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken, rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests, lock.ErrCorrupt, fence.ErrStale} {
		require.NotErrorIs(t, fail("acquire", c, err), lock.ErrUnknownOutcome)
		require.ErrorIs(t, fail("acquire", c, err), err)
	}
}
