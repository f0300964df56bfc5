package pubsubtest_test

import (
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

// broken is a backend that breaks a promise.
type broken struct {
	pubsub.BusBackend
	how   string
	calls atomic.Int64
}

func (b *broken) Publish(ctx context.Context, topic string, ms []pubsub.Message) error {
	n := b.calls.Add(1)
	switch {
	case b.how == "loses" && n%100 == 0:
		return nil
	case b.how == "doubles" && n%100 == 0:
		b.BusBackend.Publish(ctx, topic, ms)
	case b.how == "reorders" && n%100 == 0:
		go b.BusBackend.Publish(ctx, topic, ms)
		return nil
	case b.how == "forgets keys":
		for i := range ms {
			ms[i].Key = ""
		}
	}
	return b.BusBackend.Publish(ctx, topic, ms)
}

// early says that it is active before it is.
type early struct{ pubsub.BusBackend }

func (e early) Subscribe(ctx context.Context, pattern string, s pubsub.Sink) error {
	s.Active()
	time.Sleep(10 * time.Millisecond)
	return e.BusBackend.Subscribe(ctx, pattern, s)
}

const control = "CONCORD_PUBSUBTEST_CONTROL"

// The suite finds each of these. It runs in another process, since it is to fail.
func TestControls(t *testing.T) {
	if how := os.Getenv(control); how != "" {
		pubsubtest.RunBus(t, func(*testing.T) func() pubsub.BusBackend {
			var b pubsub.BusBackend = &broken{BusBackend: mempubsub.NewBus(), how: how}
			if how == "early" {
				b = early{mempubsub.NewBus()}
			}
			return func() pubsub.BusBackend { return b }
		}, &pubsubtest.BusOptions{Patience: 200 * time.Millisecond})
		return
	}
	for how, fails := range map[string]string{
		"loses": "messages_of_a_publisher", "doubles": "messages_of_a_publisher", "reorders": "messages_of_a_publisher",
		"forgets keys": "messages_come_as_they_were_sent", "early": "a_subscription_is_active",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestControls$")
		cmd.Env = append(os.Environ(), control+"="+how)
		out, err := cmd.CombinedOutput()
		require.Error(t, err, "a backend that %s passes", how)
		require.Contains(t, string(out), "--- FAIL: TestControls/"+fails, "%s: %s", how, out)
	}
}
