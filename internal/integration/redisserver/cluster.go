package redisserver

import (
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of three masters that have all slots.
type Cluster struct{ addrs []string }

const (
	clusterSize  = 3
	clusterSlots = 16384
)

// StartCluster returns when all nodes serve.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := new(Cluster)
	var nodes []*redis.Client
	var ports []int
	for i := range clusterSize {
		s, port := startTCP(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", "127.0.0.1")
		c.addrs, ports = append(c.addrs, addr(port)), append(ports, port)
		rdb := s.Dial(t, nil)
		nodes = append(nodes, rdb)
		must(t, rdb.ClusterAddSlotsRange(t.Context(), i*clusterSlots/clusterSize, (i+1)*clusterSlots/clusterSize-1).Err())
		must(t, rdb.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
	}
	for _, port := range ports[1:] {
		must(t, nodes[0].ClusterMeet(t.Context(), "127.0.0.1", strconv.Itoa(port)).Err())
	}
	for _, rdb := range nodes {
		eventually(t, "the nodes of the cluster must know each other", func() bool {
			info := rdb.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") &&
				strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return c
}

// Dial returns a client of the cluster that is closed when t ends.
func (c *Cluster) Dial(t testing.TB, mod func(*redis.ClusterOptions)) *redis.ClusterClient {
	t.Helper()
	quiet()
	o := &redis.ClusterOptions{Addrs: c.addrs}
	if mod != nil {
		mod(o)
	}
	rdb := redis.NewClusterClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
}
