package redisproc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A server counts the commands of scripts with those of clients. What the locks send and what their scripts call are
// disjoint sets of commands, so the name tells. Connecting and asking for statistics are not work of a lock.
var (
	byClients = []string{"eval", "evalsha", "ping", "script|load", "subscribe", "unsubscribe"}
	byScripts = []string{"del", "get", "getrange", "hdel", "hget", "hgetall", "hmget", "hset", "pexpire", "publish", "pubsub|numsub", "pttl", "set", "time"}
	ignored   = []string{"client|id", "client|maint_notifications", "client|setinfo", "command", "flushall", "hello", "info", "config|resetstat", "quit"}
)

// Requests returns how many commands clients have sent for their locks: those of a script count once, as the script. It
// fails on a command of which it does not know whether a client or a script sends it, rather than count wrong. It knows
// bsm/redislock and redislock of concord.
func (s *Server) Requests(ctx context.Context) (int64, error) {
	info, err := s.own.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	return countRequests(info)
}

func countRequests(commandstats string) (int64, error) {
	var sum int64
	for line := range strings.Lines(commandstats) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "cmdstat_")
		if !ok {
			continue
		}
		name, stats, _ := strings.Cut(line, ":calls=")
		switch {
		case slices.Contains(byScripts, name), slices.Contains(ignored, name):
			continue
		case !slices.Contains(byClients, name):
			return 0, fmt.Errorf("commandstats: is it a client or a script that sends %q?", name)
		}
		calls, _, _ := strings.Cut(stats, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("commandstats: %q: %w", line, err)
		}
		sum += n
	}
	return sum, nil
}

// ResetStats makes [Server.Requests] count from 0.
func (s *Server) ResetStats(ctx context.Context) error { return s.own.ConfigResetStat(ctx).Err() }

// CPU returns how long the server has run on any core. It has the resolution of getrusage, which the server asks for
// itself; that of /proc/<pid>/stat is 10 ms.
func (s *Server) CPU() (time.Duration, error) {
	info, err := s.own.Info(context.Background(), "cpu").Result()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, field := range []string{"used_cpu_sys", "used_cpu_user"} {
		seconds, err := strconv.ParseFloat(infoField(info, field), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", field, err)
		}
		sum += time.Duration(seconds * float64(time.Second))
	}
	return sum, nil
}

// Version returns the version of the server.
func (s *Server) Version(ctx context.Context) (string, error) {
	info, err := s.own.Info(ctx, "server").Result()
	return infoField(info, "redis_version"), err
}

func infoField(info, field string) string {
	_, rest, _ := strings.Cut(info, field+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}
