package main

import (
	"bytes"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTour(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, tour(t.Context(), &out))
	_, table, ok := strings.Cut(out.String(), "== What was shown")
	require.True(t, ok)
	for _, s := range stops {
		require.Contains(t, table, s.section)
	}
}

// Every folder that is named for a section is a stop, in order.
func TestTourIsComplete(t *testing.T) {
	sections, err := filepath.Glob("../[0-9]*-*")
	require.NoError(t, err)
	require.Len(t, stops, len(sections))
	for i, s := range stops {
		require.Equal(t, filepath.Base(sections[i]), filepath.Base(s.folder))
	}
}

// The tour is the first thing that people run: what it links they wait for.
func TestTourLinksNoServer(t *testing.T) {
	build, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	require.NotEmpty(t, build.Deps)
	for _, module := range build.Deps {
		require.NotRegexp(t, "server|miniredis|testcontainers", module.Path)
	}
}
