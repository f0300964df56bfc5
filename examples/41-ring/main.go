// Command 41-ring shows what goes wrong with a ring in a map and with hash % n, and what moves on a ring instead.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/concordkit/concord/examples/41-ring/rings"
)

func main() {
	svg := flag.String("svg", "", "file that a picture of the ring is written to")
	flag.Parse()
	if err := rings.Run(context.Background(), os.Stdout, rings.Options{SVG: *svg}); err != nil {
		log.Fatal(err)
	}
}
