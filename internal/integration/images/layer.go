package main

import (
	"archive/tar"
	"cmp"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// user has no name in the images; it is what distroless images call nonroot.
	user    = "65532:65532"
	workdir = "/data"
)

// file is one file of an image.
type file struct {
	path string // in the image
	from string // on this machine; links are followed
}

// writeLayer writes a tar archive whose bytes depend on nothing but the files: same order, owner and time.
func writeLayer(name string, files []file) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	// A server, whoever it runs as, may write here and nowhere else.
	for _, dir := range []string{workdir, "/tmp"} {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o1777, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	for _, f := range slices.Compact(files) {
		if err := add(w, f); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

func add(w *tar.Writer, f file) error {
	in, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(f.path, "/")
	h := &tar.Header{Name: name, Mode: 0o755, Size: info.Size(), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
