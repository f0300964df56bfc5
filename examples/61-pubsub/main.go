// Command 61-pubsub shows how messages get lost on a bus and how they do not, and what a queue does when a worker is killed.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/concordkit/concord/examples/61-pubsub/messages"
)

func main() {
	var o messages.Options
	flag.StringVar(&o.Engine, "engine", "mem", "what carries the messages: mem, redis or nats")
	flag.StringVar(&o.Addr, "addr", "", "address of the engine's server (default: its usual port on localhost)")
	flag.Parse()
	if err := messages.Run(context.Background(), os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
