package layering

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// goVersion is the oldest Go that the library supports. A go.work with a go line below that of one of its modules
// stops every command, and 1.26 is below 1.26.0.
const goVersion = "1.26.0"

var goLine = regexp.MustCompile(`(?m)^go (\S+)$`)

func checkVersion(file string) string {
	match := goLine.FindStringSubmatch(file)
	switch {
	case match == nil:
		return "has no go line"
	case match[1] != goVersion:
		return "says go " + match[1] + ", want " + goVersion
	}
	return ""
}

func TestVersions(t *testing.T) {
	root := moduleRoot(t)
	var violations []string
	walk(t, root, true, func(name string) {
		if base := filepath.Base(name); base != "go.mod" && base != "go.work" {
			return
		}
		file, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		if broken := checkVersion(string(file)); broken != "" {
			violations = append(violations, name+" "+broken)
		}
	})
	requireClean(t, violations)
}

func TestCheckVersion(t *testing.T) {
	require.Empty(t, checkVersion("module a\n\ngo 1.26.0\n\nrequire b v1.0.0\n"))
	require.Equal(t, "says go 1.26, want 1.26.0", checkVersion("go 1.26\n\nuse .\n"))
	require.Equal(t, "says go 1.27.0, want 1.26.0", checkVersion("module a\n\ngo 1.27.0\n"))
	require.Equal(t, "has no go line", checkVersion("module a\n"))
}
