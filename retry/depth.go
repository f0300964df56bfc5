package retry

import "context"

type depthKey struct{}

// repetition is the context of a repeated attempt.
type repetition struct {
	context.Context
	depth int
}

// Value implements context.Context.
func (r *repetition) Value(key any) any {
	if key == (depthKey{}) {
		return r.depth
	}
	return r.Context.Value(key)
}

// Depth returns how many policies and hedges above ctx are in a repetition: 0 outside of any and in first attempts. Where
// it is above 0 a Policy makes one attempt, unless [Options.Nested], and a [Hedger] does not hedge. So two layers of three
// attempts each make 3+1+1 calls and not 9.
func Depth(ctx context.Context) int {
	depth, _ := ctx.Value(depthKey{}).(int)
	return depth
}
