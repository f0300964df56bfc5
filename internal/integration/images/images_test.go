package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLibraries(t *testing.T) {
	const ldd = `	linux-vdso.so.1 (0x00007ffc7d3f2000)
	libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f1)
	/lib64/ld-linux-x86-64.so.2 (0x00007f2)
`
	paths, err := libraries(ldd)
	require.NoError(t, err)
	require.Equal(t, []string{"/lib/x86_64-linux-gnu/libssl.so.3", "/lib64/ld-linux-x86-64.so.2"}, paths)

	paths, err = libraries("\tstatically linked\n")
	require.NoError(t, err)
	require.Empty(t, paths)

	_, err = libraries("\tliblzf.so.1 => not found\n")
	require.EqualError(t, err, "liblzf.so.1 => not found")
}

func TestLayer(t *testing.T) {
	dir := t.TempDir()
	program, link := filepath.Join(dir, "program"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(program, []byte("code"), 0o600))
	require.NoError(t, os.Symlink(program, link))
	a, b := filepath.Join(dir, "a.tar"), filepath.Join(dir, "b.tar")
	require.NoError(t, writeLayer(a, []file{{"/z", program}, {"/lib/y", link}, {"/z", program}}))
	require.NoError(t, os.Chtimes(program, time.Now(), time.Now().Add(time.Hour)))
	require.NoError(t, writeLayer(b, []file{{"/lib/y", link}, {"/z", program}}))
	first, err := os.ReadFile(a)
	require.NoError(t, err)
	second, err := os.ReadFile(b)
	require.NoError(t, err)
	require.Equal(t, first, second, "a layer depends on nothing but its files")
	require.Equal(t, []string{"data/ ", "tmp/ ", "lib/y code", "z code"}, list(t, a))
}

func list(t *testing.T, name string) (entries []string) {
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		entries = append(entries, h.Name+" "+string(text))
	}
}
