package ring_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/concordkit/concord/ring"
)

// three returns the nodes of the examples.
func three() []ring.Node {
	return []ring.Node{
		{ID: "a", Addr: "10.0.0.1:6379", Zone: "north"},
		{ID: "b", Addr: "10.0.0.2:6379", Zone: "north"},
		{ID: "c", Addr: "10.0.1.1:6379", Zone: "south"},
	}
}

func ExampleNew() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	node, ok := r.Lookup("user:42")
	fmt.Println(node.ID, node.Addr, ok)
	// Output: b 10.0.0.2:6379 true
}

func ExampleRing_Replicas() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	for node := range r.Replicas("user:42", 2) {
		fmt.Println(node.ID, node.Zone)
	}
	// Output:
	// b north
	// c south
}

func ExampleRing_Add() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	change, err := r.Add(ring.Node{ID: "d", Addr: "10.0.1.2:6379", Zone: "south"})
	if err != nil {
		log.Fatal(err)
	}
	moved := map[string]float64{}
	for m := range change.Moves() {
		moved[m.From+" to "+m.To] += m.Share()
	}
	for _, pair := range []string{"a to d", "b to d", "c to d"} {
		fmt.Printf("%s: %.1f %% of the keys\n", pair, 100*moved[pair])
	}
	fmt.Println("all others stay:", len(moved) == 3)
	// Output:
	// a to d: 8.3 % of the keys
	// b to d: 8.5 % of the keys
	// c to d: 8.1 % of the keys
	// all others stay: true
}

func ExampleRing_Set() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	change, err := r.Set(append(three()[1:], ring.Node{ID: "d"})) // what discovery found
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(change.Added[0].ID, "added,", change.Removed[0].ID, "removed, version", change.Version)
	// Output: d added, a removed, version 2
}

func ExampleRing_Update() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	// Its keys go to the others; it finishes what it was asked before.
	if _, err := r.Update("b", func(n *ring.Node) { n.State = ring.Leaving }); err != nil {
		log.Fatal(err)
	}
	node, _ := r.Lookup("user:42")
	fmt.Println(node.ID)
	// Output: a
}

func ExampleRing_Acquire() {
	r, err := ring.New(three(), &ring.Options{Bound: 1.5})
	if err != nil {
		log.Fatal(err)
	}
	for range 6 { // requests for one hot key, all at once
		node, release, ok := r.Acquire("user:42")
		if !ok {
			log.Fatal("no node is active")
		}
		defer release()
		fmt.Print(node.ID, " ")
	}
	// Output: b c b c b c
}

func ExampleRing_Watch() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for change, err := range r.Watch(ctx).All(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(len(change.Added), "to connect to,", len(change.Removed), "to close")
		cancel()
	}
	// Output:
	// 3 to connect to, 0 to close
	// ring: watch: context canceled
}

func ExampleDiff() {
	few, err := ring.New(three(), &ring.Options{Placement: ring.VNodes(2)})
	if err != nil {
		log.Fatal(err)
	}
	more, err := ring.New(append(three(), ring.Node{ID: "d"}), &ring.Options{Placement: ring.VNodes(2)})
	if err != nil {
		log.Fatal(err)
	}
	moves, err := ring.Diff(few.View(), more.View())
	if err != nil {
		log.Fatal(err)
	}
	for m := range moves {
		fmt.Printf("%016x to %016x: from %s to %s\n", m.Lo, m.Hi, m.From, m.To)
	}
	// Output: 48ca6a92dd620000 to 811b360cb50fffff: from c to d
}

func ExampleView_Shuffle() {
	nodes := make([]ring.Node, 12)
	for i := range nodes {
		nodes[i].ID = fmt.Sprint("node-", i)
	}
	r, err := ring.New(nodes, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tenant := range []string{"acme", "globex"} {
		few := r.View().Shuffle(tenant, 3)
		fmt.Print(tenant, ":")
		for _, n := range few.Nodes() {
			fmt.Print(" ", n.ID)
		}
		fmt.Println()
	}
	// Output:
	// acme: node-1 node-2 node-3
	// globex: node-10 node-5 node-6
}

func ExampleBatch() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	keys := []string{"user:1", "user:2", "user:3"}
	write := func(ctx context.Context, n ring.Node, of []int) error {
		if n.ID == "b" {
			return fmt.Errorf("%s does not answer", n.ID)
		}
		return nil // one request with keys[i] for each i of of
	}
	fmt.Println(ring.Batch(context.Background(), r.View(), keys, write, nil))
	// Output: <nil>
}

func ExampleView_WriteSVG() {
	r, err := ring.New(three(), nil)
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.CreateTemp("", "ring-*.svg")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	if err := r.View().WriteSVG(f); err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Close())
	// Output: <nil>
}
