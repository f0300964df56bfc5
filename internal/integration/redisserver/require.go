package redisserver

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	binary  = "redis-server"
	install = "apt-get install redis-server"
)

// Require returns if there is a redis-server on PATH. If not it skips t, or fails it when the environment variable
// CONCORD_REQUIRE, a list with commas, names redis.
func Require(t testing.TB) {
	t.Helper()
	switch {
	case installed():
	case required():
		t.Fatalf("no redis-server on PATH, and CONCORD_REQUIRE names redis: %s", install)
	default:
		t.Skipf("no redis-server on PATH: %s; skipped", install)
	}
}

// Report prints one line that says what the tests of this binary run against. Call it from TestMain.
func Report() { fmt.Println(tier()) }

func tier() string {
	if !installed() {
		return "tier redis: miniredis stand-in; install redis-server for the fault tests (" + install + ")"
	}
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return fmt.Sprintf("tier redis: redis-server --version: %v", err)
	}
	return "tier redis: redis-server " + version(string(out))
}

// version finds "7.0.15" in "Redis server v=7.0.15 sha=…".
func version(s string) string {
	_, s, _ = strings.Cut(s, " v=")
	s, _, _ = strings.Cut(s, " ")
	return s
}

func installed() bool {
	_, err := exec.LookPath(binary)
	return err == nil
}

func required() bool {
	return slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "redis")
}
