package mempubsub_test

import (
	"testing"
	"time"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

func TestBus(t *testing.T) {
	pubsubtest.RunBus(t, func(*testing.T) func() pubsub.BusBackend {
		b := mempubsub.NewBus()
		return func() pubsub.BusBackend { return b }
	}, &pubsubtest.BusOptions{Patience: time.Second})
}
