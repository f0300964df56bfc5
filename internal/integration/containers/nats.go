package containers

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
)

const natsPort = "4222/tcp"

// NATS is a server with JetStream, whose streams live as long as it.
type NATS struct{ *Server }

// StartNATS returns when JetStream answers. The server runs until t ends. Where it cannot run, t is skipped or fails,
// as [Require] says.
func StartNATS(t testing.TB) *NATS {
	t.Helper()
	need(t, natsImage)
	n := &NATS{start(t, natsImage, natsPort, testcontainers.WithCmd("--jetstream", "--store_dir", dataDir))}
	await(t, "JetStream must answer", func(ctx context.Context) error {
		nc, err := n.dial(nats.Timeout(attempt), nats.NoReconnect())
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.AccountInfo(ctx)
		}
		return err
	})
	return n
}

// Dial returns a connection that is closed when t ends. It has the client's default options but for opts.
func (n *NATS) Dial(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := n.dial(opts...)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func (n *NATS) dial(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("nats://"+n.addr, opts...)
}
