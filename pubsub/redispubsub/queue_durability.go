package redispubsub

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

// Info implements pubsub.QueueBackend. Durability is that of the least durable master: Synced where every write is in a synced
// append-only file and no replica can take over without it, Buffered where there is such a file, else Volatile, also if a server
// saves snapshots or tells nothing.
func (q *Queue) Info(ctx context.Context) (pubsub.QueueInfo, error) {
	info := pubsub.QueueInfo{DedupeWindow: q.o.DedupeWindow, Partitions: q.o.Partitions, Delays: true}
	if q.err != nil {
		return info, q.err
	}
	d, err := queueAwait(ctx, q.durability)
	info.Durability = d
	return info, queueFail("info of", "", err)
}

func (q *Queue) durability(ctx context.Context) (pubsub.Durability, error) {
	cluster, ok := q.rdb.(*redis.ClusterClient)
	if !ok {
		return durabilityOf(ctx, q.rdb)
	}
	var mu sync.Mutex
	least := pubsub.Synced
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		d, err := durabilityOf(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		least = min(least, d)
		return err
	})
	return least, err
}

// durabilityOf asks one server. What it refuses to tell is taken for the worst.
func durabilityOf(ctx context.Context, rdb redis.Cmdable) (pubsub.Durability, error) {
	info, err := rdb.Info(ctx, "persistence", "replication").Result()
	if err != nil && !queueSays(err, "") {
		return pubsub.Volatile, err
	}
	if !strings.Contains(info, "aof_enabled:1") {
		return pubsub.Volatile, nil
	}
	config, err := rdb.ConfigGet(ctx, "*append*").Result()
	if err != nil && !queueSays(err, "") {
		return pubsub.Volatile, err
	}
	alone := strings.Contains(info, "role:master") && strings.Contains(info, "connected_slaves:0")
	if alone && config["appendfsync"] == "always" && config["no-appendfsync-on-rewrite"] == "no" {
		return pubsub.Synced, nil
	}
	return pubsub.Buffered, nil
}
