// Command 52-retry shows what a thousand clients do to a server that comes back, without jitter, with it, and with a budget.
package main

import (
	"context"
	"log"
	"os"

	"github.com/concordkit/concord/examples/52-retry/retries"
)

func main() {
	if err := retries.Run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
