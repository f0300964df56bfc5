package ringtest_test

import (
	"fmt"
	"log"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func ExampleCheck() {
	place := ringtest.Of(&ring.Options{Placement: ring.VNodes(100)})
	fmt.Println(ringtest.Check(place, &ringtest.Options{Nodes: 20, Max: 1.1}))
	// Output: the fullest of 21 nodes has 1.147 times its share: want at most 1.1
}

func ExampleMeasureMovement() {
	m, err := ringtest.MeasureMovement(ringtest.Of(nil), ringtest.Nodes(4), ringtest.Nodes(5), 100_000)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("moved %.3f, at least %.3f, between those that stay %.3f\n", m.Moved, m.Least, m.Astray)
	// Output: moved 0.199, at least 0.200, between those that stay 0.000
}
