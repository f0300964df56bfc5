package ratio

import (
	"math"
	"slices"
	"time"
)

// Measure holds nanoseconds per operation of both sides, slice by slice.
type Measure struct {
	ours, peer []float64
}

func (m *Measure) add(ours bool, d time.Duration, n int) {
	per := float64(d) / float64(n)
	if ours {
		m.ours = append(m.ours, per)
	} else {
		m.peer = append(m.peer, per)
	}
}

// Ratio returns the median of ours/peer over all pairs of slices.
func (m Measure) Ratio() float64 {
	ratios := make([]float64, len(m.ours))
	for i := range m.ours {
		ratios[i] = m.ours[i] / m.peer[i]
	}
	return Median(ratios)
}

// Ours returns the median time of one operation of ours.
func (m Measure) Ours() time.Duration { return time.Duration(Median(m.ours)) }

// Peer returns the median time of one operation of the peer.
func (m Measure) Peer() time.Duration { return time.Duration(Median(m.peer)) }

// Plus returns the sums of two measures of the same slices.
func (m Measure) Plus(o Measure) Measure {
	sum := Measure{slices.Clone(m.ours), slices.Clone(m.peer)}
	for i := range sum.ours {
		sum.ours[i] += o.ours[i]
		sum.peer[i] += o.peer[i]
	}
	return sum
}

// Median returns the middle of xs, or the mean of the two that are, and NaN of nothing.
func Median[T ~int64 | ~float64](xs []T) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	return (float64(s[(len(s)-1)/2]) + float64(s[len(s)/2])) / 2
}
