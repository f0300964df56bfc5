package containers

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Require returns if the Docker engine answers and has all images. If not it skips t, or, when the environment variable
// CONCORD_REQUIRE, a list with commas, names docker, tries to pull what is missing and fails t if it cannot. The
// functions that start a server require its image by themselves.
func Require(t testing.TB) {
	t.Helper()
	need(t, images...)
}

func need(t testing.TB, images ...image) {
	t.Helper()
	err := available(images)
	switch {
	case err == nil:
	case required():
		t.Fatalf("%v, and CONCORD_REQUIRE names docker", err)
	default:
		t.Skipf("%v; skipped", err)
	}
}

func available(images []image) error {
	if _, err := engine(); err != nil {
		return fmt.Errorf("no Docker engine answers: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	for _, m := range images {
		if err := m.obtain(required()); err != nil {
			return err
		}
	}
	return nil
}

// Report prints one line that says what the tests of this binary run in. Call it from TestMain.
func Report() { fmt.Println(tier()) }

func tier() string {
	version, err := engine()
	if err != nil {
		return "tier docker: skipped; no Docker engine answers"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "tier docker: engine %s", version)
	for _, m := range images {
		fmt.Fprintf(&s, ", %s", m.name())
		if m.obtain(false) != nil {
			s.WriteString(" (not here: docker pull it, or make images)")
		}
	}
	return s.String()
}

func required() bool {
	return slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "docker")
}
