package layering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/concordkit/concord"

// source is one Go file. Its dir is slash-separated and relative to the module root, which is ".".
type source struct {
	dir, name string
	*ast.File
}

func (s source) String() string { return s.dir + "/" + s.name }

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) imports() []string {
	paths := make([]string, len(s.File.Imports))
	for i, spec := range s.File.Imports {
		// The parser accepts only valid string literals here.
		paths[i], _ = strconv.Unquote(spec.Path.Value)
	}
	return paths
}

// parse returns the file called name, a path relative to the module root. With a nil src it reads the file below root.
func parse(t *testing.T, root, name string, src any) source {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), src, parser.SkipObjectResolution)
	require.NoError(t, err)
	dir, base := filepath.Split(name)
	return source{dir: filepath.ToSlash(filepath.Clean(dir)), name: base, File: file}
}

// moduleRoot finds the directory of the go.mod that this package belongs to.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for !exists(filepath.Join(dir, "go.mod")) {
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
	return dir
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// walk calls visit for every file below root with its path relative to root. It passes over what the go command
// passes over, and over nested modules unless they are wanted.
func walk(t *testing.T, root string, nested bool, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			name, err := filepath.Rel(root, path)
			visit(name)
			return err
		case path == root:
			return nil
		case ignored(d.Name()), !nested && exists(filepath.Join(path, "go.mod")):
			return fs.SkipDir
		}
		return nil
	})
	require.NoError(t, err)
}

func ignored(dir string) bool {
	return dir == "testdata" || strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

// parseModule returns the Go files of the root module, tests included.
func parseModule(t *testing.T) []source {
	t.Helper()
	root := moduleRoot(t)
	var sources []source
	walk(t, root, false, func(name string) {
		if strings.HasSuffix(name, ".go") {
			sources = append(sources, parse(t, root, name, nil))
		}
	})
	require.NotEmpty(t, sources)
	return sources
}

// requireClean fails with one violation a line.
func requireClean(t *testing.T, violations []string) {
	t.Helper()
	require.Empty(t, strings.Join(violations, "\n"))
}
