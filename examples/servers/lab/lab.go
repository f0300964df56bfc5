// Package lab runs one of each server that the examples know, in this process: etcd, NATS with JetStream, and in the place of
// Redis a stand-in, miniredis. They ask for no password, so they listen on loopback unless told otherwise, and what they
// store ends with them.
//
// It is for trying things out. The servers sync no file, and etcd elects its leader after half the usual time, so that the
// shortest TTL is one second instead of two.
package lab

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
)

// The usual addresses.
const (
	Redis = "127.0.0.1:6379"
	Etcd  = "127.0.0.1:2379"
	NATS  = "127.0.0.1:4222"
)

// Options say where the servers listen. The defaults are the usual addresses; port 0 picks a free one.
type Options struct{ Redis, Etcd, NATS string }

// Lab is the running servers and where they listen.
type Lab struct {
	Redis, Etcd, NATS string

	stops []func() // in the order of the starts
}

// Start returns when all servers serve. Nothing is left of them when it fails.
func Start(o Options) (*Lab, error) {
	dir, err := os.MkdirTemp("", "concord-servers-")
	if err != nil {
		return nil, err
	}
	l := &Lab{stops: []func(){func() { os.RemoveAll(dir) }}}
	for _, s := range []struct {
		name  string
		addr  string
		at    *string
		start func(addr, dir string) (string, func(), error)
	}{
		{"redis", cmp.Or(o.Redis, Redis), &l.Redis, startRedis},
		{"nats", cmp.Or(o.NATS, NATS), &l.NATS, startNATS},
		{"etcd", cmp.Or(o.Etcd, Etcd), &l.Etcd, startEtcd},
	} {
		at, stop, err := s.start(s.addr, dir)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("%s at %s: %w; -%s takes another address", s.name, s.addr, err, s.name)
		}
		*s.at = at
		l.stops = append(l.stops, stop)
	}
	return l, nil
}

// Close stops the servers and removes what they have stored.
func (l *Lab) Close() {
	for i := len(l.stops) - 1; i >= 0; i-- {
		l.stops[i]()
	}
	l.stops = nil
}

// Run starts the servers, writes to out how to use them, and stops them when ctx ends.
func Run(ctx context.Context, out io.Writer, o Options) error {
	l, err := Start(o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, usage, l.Redis, l.Etcd, l.NATS)
	<-ctx.Done()
	l.Close()
	fmt.Fprintln(out, "\nStopped.")
	return nil
}

const usage = `Redis (miniredis, a stand-in), etcd and NATS with JetStream are running. Try in another terminal:

  go run ./examples/32-locks -engine redis -addr %s
  go run ./examples/32-locks -engine etcd -addr %s
  go run ./examples/32-locks -engine nats -addr %s

31-election takes the same flags. Ctrl-C stops them and removes what they have stored.
`
