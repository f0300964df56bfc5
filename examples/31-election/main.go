// Command 31-election shows what goes wrong where the highest ID leads, and what a leader with a term does instead.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/concordkit/concord/examples/31-election/elections"
)

func main() {
	var o elections.Options
	flag.StringVar(&o.Engine, "engine", "mem", "where the election lives: mem, redis, etcd or nats")
	flag.StringVar(&o.Addr, "addr", "", "address of the engine's server (default: its usual port on localhost)")
	flag.Parse()
	if err := elections.Run(context.Background(), os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
