package retry

import "context"

// Pool keeps buckets of tokens that many processes share, for [SharedBudget]. Its methods may be called concurrently, by any
// number of processes. They may wait for a store, but not beyond the end of ctx, which also may come before the call.
type Pool interface {
	// Take takes up to n tokens, at least 1, out of b and returns how many: n, or all there are if that is less. They have
	// left the bucket when it returns: nobody else gets them, also if the caller dies. After an error they may be lost.
	Take(ctx context.Context, b Bucket, n int) (int, error)
	// Give puts n tokens, at least 1, back into b, which holds Max at most. After an error they may or may not be there.
	Give(ctx context.Context, b Bucket, n int) error
}

// Bucket is one bucket of a [Pool]. One that the pool does not know is full. It fills by the clock of the store. Those who use
// one name should agree on the rest; where they do not, each call goes by its own.
type Bucket struct {
	Name      string // valid UTF-8, 1 to 256 bytes
	Max       int    // tokens at most, 1 to 1,000,000
	PerSecond int    // tokens that come with time, 0 to 1,000,000
}
