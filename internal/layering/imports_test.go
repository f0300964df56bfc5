package layering

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var concepts = []string{
	"ring", "shard", "lock", "election", "breaker", "retry", "eventstore", "pubsub", "rpcx",
}

// across lists who may import other concepts: the packages in and below a directory, and the concepts they may use.
// Everything else composes by shape.
var across = map[string][]string{
	"election":             {"lock"},
	"ring/members":         {"lock"},
	"breaker/fleet":        {"lock"},
	"shard/kv":             {"lock", "ring"},
	"eventstore/relay":     {"eventstore", "pubsub", "lock"},
	"eventstore/projector": {"eventstore", "lock"},
}

// acrossInTests lists whose tests may use other concepts too, to show that both work together.
var acrossInTests = map[string][]string{
	"retry/httpretry": {"breaker"},
	"retry/grpcretry": {"breaker"},
}

// clients lists the technologies whose directories may import a client library.
var clients = map[string][]string{
	"github.com/redis":           {"redis"},
	"go.etcd.io":                 {"etcd"},
	"github.com/nats-io":         {"nats"},
	"google.golang.org/grpc":     {"grpc", "etcd"}, // etcd's client speaks in gRPC's status codes.
	"google.golang.org/protobuf": {"grpc"},
	"go.opentelemetry.io":        {"otel"},
}

// private lists the one directory that may import a library.
var private = map[string]string{
	"github.com/sony/gobreaker": "breaker",
	"github.com/cespare/xxhash": "ring",
}

var testLibraries = []string{"testing", "net/http/httptest", "github.com/stretchr/testify"}

// checkImport says which rule is broken when a file of dir imports imported, and "" when none is. The name of the
// file only tells whether it is a test.
func checkImport(dir, name, imported string) string {
	if rel, ok := strings.CutPrefix(imported, module+"/"); ok {
		return checkConcept(dir, name, rel)
	}
	if slices.ContainsFunc(testLibraries, func(lib string) bool { return within(imported, lib) }) {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(path.Base(dir), "test") {
			return ""
		}
		return "test libraries belong in _test.go files and *test packages"
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return ""
	}
	return checkThirdParty(dir, imported)
}

// checkConcept judges the import of the library's own package rel.
func checkConcept(dir, name, rel string) string {
	from, to := concept(dir), concept(rel)
	if to == "" || from == to {
		return ""
	}
	for user, used := range across {
		if within(dir, user) && slices.Contains(used, to) {
			return ""
		}
	}
	if strings.HasSuffix(name, "_test.go") && slices.Contains(acrossInTests[dir], to) {
		return ""
	}
	if from == "" {
		return "internal packages import no concept"
	}
	return fmt.Sprintf("%s does not import %s: compose by shape", from, to)
}

func checkThirdParty(dir, imported string) string {
	for lib, technologies := range clients {
		if within(imported, lib) {
			if slices.ContainsFunc(technologies, func(tech string) bool { return belowTechnology(dir, tech) }) {
				return ""
			}
			return "client libraries belong below a directory named for " + strings.Join(technologies, " or ")
		}
	}
	for lib, owner := range private {
		if within(imported, lib) {
			if dir == owner {
				return ""
			}
			return "only " + owner + " imports this"
		}
	}
	return "no rule allows this dependency"
}

// concept returns the concept that dir belongs to, "" for packages that belong to none.
func concept(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	if slices.Contains(concepts, first) {
		return first
	}
	return ""
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func belowTechnology(dir, tech string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(elem string) bool {
		return strings.HasPrefix(elem, tech)
	})
}

func importViolations(sources []source) []string {
	var violations []string
	for _, s := range sources {
		for _, imported := range s.imports() {
			if broken := checkImport(s.dir, s.name, imported); broken != "" {
				violations = append(violations, fmt.Sprintf("%s imports %s: %s", s, imported, broken))
			}
		}
	}
	return violations
}

// placeViolations finds packages that no other rule would look at.
func placeViolations(sources []source) []string {
	var violations []string
	for _, s := range sources {
		if s.dir != "." && concept(s.dir) == "" && !within(s.dir, "internal") {
			violations = append(violations, fmt.Sprintf("%s is neither in a concept nor internal", s))
		}
	}
	return violations
}

func TestImports(t *testing.T) {
	sources := parseModule(t)
	requireClean(t, append(placeViolations(sources), importViolations(sources)...))
}

func TestImportViolations(t *testing.T) {
	bad := parse(t, "", "lock/a.go", "package lock\nimport (\n\"context\"\n\"golang.org/x/sync/errgroup\"\n)")
	require.Equal(t, []string{"lock/a.go imports golang.org/x/sync/errgroup: no rule allows this dependency"},
		importViolations([]source{bad}))

	stray := parse(t, "", "util/a.go", "package util")
	require.Len(t, placeViolations([]source{bad, stray}), 1)
	require.Empty(t, placeViolations([]source{
		parse(t, "", "doc.go", "package concord"),
		parse(t, "", "internal/x/x.go", "package x"),
	}))
}

func TestCheckImport(t *testing.T) {
	const own = module + "/"
	for _, c := range []struct {
		dir, name, imported string
		ok                  bool
	}{
		{"lock", "a.go", "context", true},
		{"lock", "a.go", own + "internal/x", true},
		{"lock/redislock", "a.go", own + "lock", true},
		{"lock", "a.go", own + "ring", false},
		{"lock/memlock", "a_test.go", own + "retry/idempotency", false},
		{"internal/x", "a.go", own + "lock", false},

		{"election/electiontest", "a.go", own + "lock/memlock", true},
		{"election", "a.go", own + "ring", false},
		{"ring/members", "a.go", own + "lock", true},
		{"ring", "a.go", own + "lock", false},
		{"breaker/fleet", "a.go", own + "lock", true},
		{"breaker/fleetbreaker", "a.go", own + "lock", false},
		{"shard/kv/rediskv", "a.go", own + "ring", true},
		{"shard", "a.go", own + "ring", false},
		{"eventstore/relay", "a.go", own + "pubsub", true},
		{"eventstore/projector", "a.go", own + "lock", true},
		{"eventstore/projector", "a.go", own + "pubsub", false},
		{"lock", "a.go", own + "election", false},
		{"retry/httpretry", "a_test.go", own + "breaker/httpbreaker", true},
		{"retry/httpretry", "a.go", own + "breaker/httpbreaker", false},
		{"retry/httpretry", "a_test.go", own + "lock", false},
		{"retry", "a_test.go", own + "breaker", false},

		{"lock/redislock", "a.go", "github.com/redis/go-redis/v9", true},
		{"lock/redislock/internal/x", "a.go", "github.com/redis/go-redis/v9", true},
		{"internal/redisscript", "a.go", "github.com/redis/go-redis/v9", true},
		{"lock/memredis", "a.go", "github.com/redis/go-redis/v9", false},
		{"lock", "a_test.go", "github.com/redis/go-redis/v9", false},
		{"lock/etcdlock", "a.go", "go.etcd.io/etcd/client/v3", true},
		{"lock/etcdlock", "a.go", "google.golang.org/grpc/codes", true},
		{"lock/etcdlock", "a.go", "google.golang.org/protobuf/proto", false},
		{"lock/redislock", "a.go", "go.etcd.io/etcd/client/v3", false},
		{"lock/natslock", "a.go", "github.com/nats-io/nats.go/jetstream", true},
		{"lock/etcdlock", "a.go", "github.com/nats-io/nats.go", false},
		{"rpcx/grpcrpc", "a.go", "google.golang.org/grpc", true},
		{"rpcx/grpcrpc", "a.go", "google.golang.org/protobuf/proto", true},
		{"rpcx", "a.go", "google.golang.org/grpc", false},
		{"lock/otellock", "a.go", "go.opentelemetry.io/otel/metric", true},
		{"lock", "a.go", "go.opentelemetry.io/otel", false},

		{"breaker", "a.go", "github.com/sony/gobreaker/v2", true},
		{"breaker/httpbreaker", "a.go", "github.com/sony/gobreaker/v2", false},
		{"ring", "a.go", "github.com/cespare/xxhash/v2", true},
		{"shard", "a.go", "github.com/cespare/xxhash/v2", false},

		{"lock", "a_test.go", "testing/synctest", true},
		{"lock/locktest", "a.go", "github.com/stretchr/testify/require", true},
		{"lock/locktest", "a.go", "testing", true},
		{"lock/memlock", "a.go", "testing", false},
		{"lock/memlock", "a.go", "net/http/httptest", false},
		{"lock/locktest/x", "a.go", "github.com/stretchr/testify/require", false},

		{"lock", "a.go", "golang.org/x/sync/errgroup", false},
		{"lock", "a_test.go", "github.com/alicebob/miniredis/v2", false},
		{"lock/redislock", "a.go", "github.com/redislike/client", false},
	} {
		broken := checkImport(c.dir, c.name, c.imported)
		require.Equal(t, c.ok, broken == "", "%s/%s imports %s: %q", c.dir, c.name, c.imported, broken)
	}
}
