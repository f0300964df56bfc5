// Package pubsub_test runs package pubsub against real servers and under faults.
package pubsub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

func natsStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// The suite runs as it is, over a slow link, and over one that tears frames; with and without partitions.
func TestNATSQueue(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]faultproxy.Faults{
		"plain":       {},
		"slow link":   {Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond},
		"torn frames": {Chunk: 7},
	} {
		for _, partitions := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s with %d partitions", name, partitions), func(t *testing.T) {
				t.Parallel()
				c := natsserver.Start(t, 1)
				store := 0
				lease := natsLease
				if f.Latency > 0 {
					lease -= lease / 4 // its cases take long enough
				}
				pubsubtest.RunQueue(t, func(t *testing.T) func() pubsub.QueueBackend {
					store++
					prefix := fmt.Sprint("case", store) // topics of its own
					return func() pubsub.QueueBackend {
						links := c.Links(t)
						links.Set(f)
						return natspubsub.NewQueue(natsStream(t, c.DialThrough(t, links, nil)),
							&natspubsub.QueueOptions{Prefix: prefix, Partitions: partitions})
					}
				}, &pubsubtest.QueueOptions{Lease: lease, TooLarge: 1 << 20})
			})
		}
	}
}
