// Package history records what clients of a lock see while faults happen, and checks it against sequential models with
// porcupine (Anish Athalye, "Faster linearizability checking via P-compositionality", after Horn and Kroening, 2015).
package history

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Recorder collects operations of many clients on one monotonic clock. Its methods may be called concurrently.
type Recorder struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// New returns a Recorder whose clock starts now.
func New() *Recorder { return &Recorder{start: time.Now()} }

// Now returns the time since the start.
func (r *Recorder) Now() time.Duration { return time.Since(r.start) }

// Add records what a client did from call to ret.
func (r *Recorder) Add(client int, in, out any, call, ret time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{
		ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(ret),
	})
}

// Len returns the number of operations so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// checkTime is far above what a history of a few thousand operations takes. A history that takes longer is not
// understood, and counts as a failure.
const checkTime = 60 * time.Second

// Check returns an error unless the history is one that the model allows.
func (r *Recorder) Check(m porcupine.Model) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ops) == 0 {
		return fmt.Errorf("the history is empty")
	}
	if res := porcupine.CheckOperationsTimeout(m, r.ops, checkTime); res != porcupine.Ok {
		return fmt.Errorf("the history of %d operations is %s", len(r.ops), res)
	}
	return nil
}

// Require fails t unless the history is one that the model allows.
func (r *Recorder) Require(t testing.TB, m porcupine.Model) {
	t.Helper()
	if err := r.Check(m); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations: ok", r.Len())
}

// partition splits a history by the name that every input has.
func partition[In interface{ line() string }](ops []porcupine.Operation) [][]porcupine.Operation {
	names := map[string][]porcupine.Operation{}
	for _, op := range ops {
		name := op.Input.(In).line()
		names[name] = append(names[name], op)
	}
	var parts [][]porcupine.Operation
	for _, part := range names {
		parts = append(parts, part)
	}
	return parts
}
