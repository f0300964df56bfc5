// Command servers runs Redis, etcd and NATS with JetStream in one process until Ctrl-C: a lab without Docker.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/concordkit/concord/examples/servers/lab"
)

func main() {
	var o lab.Options
	flag.StringVar(&o.Redis, "redis", lab.Redis, "address of the Redis-compatible server; port 0 picks one")
	flag.StringVar(&o.Etcd, "etcd", lab.Etcd, "address of etcd")
	flag.StringVar(&o.NATS, "nats", lab.NATS, "address of NATS")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the servers
	if err := lab.Run(ctx, os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
