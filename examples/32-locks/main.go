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
	flag.StringVar(&o.Engine, "engine", "mem", "where the locks live: mem or redis")
	flag.StringVar(&o.Addr, "addr", "localhost:6379", "address of the redis server")
	flag.Parse()
	if err := locks.Run(context.Background(), os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
