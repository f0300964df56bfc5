// Command 32-locks shows what goes wrong with a SET NX lock, and what a lease with a token does instead.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/concordkit/concord/examples/32-locks/locks"
)

func main() {
	var o locks.Options
	flag.StringVar(&o.Engine, "engine", "mem", "where the locks live: mem, redis, etcd or nats")
	flag.StringVar(&o.Addr, "addr", "", "address of the engine's server (default: its usual port on localhost)")
	flag.Parse()
	if err := locks.Run(context.Background(), os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
