package containers

import (
	"context"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Isolate cuts member i off from the other members, and nothing else: its clients stay connected. It is for one
// goroutine at a time, like Heal and Leader.
func (e *Etcd) Isolate(t testing.TB, i int) {
	t.Helper()
	mustEngine(t, func(ctx context.Context, cli *testcontainers.DockerClient) error {
		_, err := cli.NetworkDisconnect(ctx, e.peers.ID, client.NetworkDisconnectOptions{Container: e.Members[i].c.GetContainerID()})
		return err
	})
	e.cut[i] = true
}

// Heal joins all members again. It does not wait until those that were isolated have caught up.
func (e *Etcd) Heal(t testing.TB) {
	t.Helper()
	for i, cut := range e.cut {
		if !cut {
			continue
		}
		mustEngine(t, func(ctx context.Context, cli *testcontainers.DockerClient) error {
			_, err := cli.NetworkConnect(ctx, e.peers.ID, client.NetworkConnectOptions{
				Container:      e.Members[i].c.GetContainerID(),
				EndpointConfig: &network.EndpointSettings{Aliases: []string{member(i)}},
			})
			return err
		})
		e.cut[i] = false
	}
}
