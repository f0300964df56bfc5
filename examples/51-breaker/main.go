// Command 51-breaker shows what goes wrong with a breaker that counts failures, and what ours does instead.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/concordkit/concord/examples/51-breaker/breakers"
)

func main() {
	counts := flag.Bool("counts", false, "print how many probes came in each 100 ms; they differ from run to run")
	flag.Parse()
	if err := breakers.Run(context.Background(), os.Stdout, breakers.Options{Counts: *counts}); err != nil {
		log.Fatal(err)
	}
}
