package natslock

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func TestKeysAreToldApart(t *testing.T) {
	for want, c := range map[string]lock.Claim{
		"n.invoice-42":     {Name: "invoice-42"},
		"n.a=2Fb":          {Name: "a/b"},
		"d.jobs.=":         {Dir: "jobs"},
		"d.jobs.1":         {Dir: "jobs", Name: "1"},
		"d.=00=2E=2A.=3E_": {Dir: "\x00.*", Name: ">_"},
		"n.=3D":            {Name: "="},
		"n.=C3=BC=20=3D2F": {Name: "ü =2F"},
	} {
		require.Equal(t, want, lineOf(c))
	}
	line, id := cutKey("d.jobs.=.0123")
	require.Equal(t, "d.jobs.=", line)
	require.Equal(t, "0123", id)
	name, ok := nameOf(line)
	require.True(t, ok)
	require.Empty(t, name)
	for _, bad := range []string{"", "=2", "=2f", "=GG", "a.b", "=41", "a=", "=="} {
		_, ok := untoken(bad)
		require.False(t, ok, bad)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("", "a", "a", "")
	f.Add("", "d.n", "d", "n")
	f.Add("jobs", "", "", "jobs")
	f.Add("a", "=2F", "a", "/")
	f.Add("a.b", "c", "a", "b.c")
	f.Fuzz(func(t *testing.T, dir1, name1, dir2, name2 string) {
		l1, l2 := lineOf(lock.Claim{Dir: dir1, Name: name1}), lineOf(lock.Claim{Dir: dir2, Name: name2})
		if same := dir1 == dir2 && name1 == name2; (l1 == l2) != same {
			t.Fatalf("%q in %q and %q in %q have the lines %q and %q", name1, dir1, name2, dir2, l1, l2)
		}
		// No line is in the filter of another.
		if l1 != l2 && strings.HasPrefix(l1, l2+".") {
			t.Fatalf("%q is below %q", l1, l2)
		}
		if got, ok := nameOf(l1); !ok || got != name1 {
			t.Fatalf("%q is kept as %q", name1, l1)
		}
		for _, token := range strings.Split(l1, ".") {
			if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r > 'z' || r != '=' && notInBucket(r) }) {
				t.Fatalf("%q is no key", l1)
			}
		}
	})
}
