package retry

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// sketch keeps a quantile of recent durations: a histogram whose buckets grow by an eighth of a power of two, in which old
// durations fade by halves.
type sketch struct {
	quantile float64
	at       atomic.Int64 // the quantile, 0 while too little is known

	mu      sync.Mutex
	counts  [buckets]uint32
	total   uint32
	pending int // durations since the quantile was computed
}

const (
	perOctave = 8
	buckets   = 64 * perOctave
	enough    = 100  // durations before the first quantile
	refresh   = 32   // durations between quantiles
	faded     = 4096 // durations, above which all counts are halved
)

func newSketch(quantile float64) *sketch { return &sketch{quantile: quantile} }

func (s *sketch) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[bucket(d)]++
	s.total++
	s.pending++
	if s.total < enough || s.pending < refresh {
		return
	}
	s.pending = 0
	s.at.Store(int64(s.value()))
	if s.total > faded {
		s.fade()
	}
}

// value returns the upper end of the bucket in which the quantile lies.
func (s *sketch) value() time.Duration {
	rank := uint32(math.Ceil(s.quantile * float64(s.total)))
	var seen uint32
	for i, n := range s.counts {
		if seen += n; seen >= rank {
			return top(i)
		}
	}
	return longest
}

func (s *sketch) fade() {
	s.total = 0
	for i := range s.counts {
		s.counts[i] /= 2
		s.total += s.counts[i]
	}
}

// bucket returns the octave of d and the three bits below its highest.
func bucket(d time.Duration) int {
	n := uint64(max(d, perOctave))
	octave := bits.Len64(n) - 1
	return octave*perOctave + int(n>>(octave-3)&(perOctave-1))
}

// top returns the upper end of bucket i, at most 24 h.
func top(i int) time.Duration {
	octave, part := i/perOctave, i%perOctave
	if octave >= bits.Len64(uint64(longest)) {
		return longest
	}
	return min(longest, time.Duration((perOctave+part+1)<<(octave-3)))
}
