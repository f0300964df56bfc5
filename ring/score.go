package ring

import (
	"math/bits"
	"sync"
)

// golden is 2^64 divided by the golden ratio, the step of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// mix is the output function of SplitMix64 (Steele, Lea and Flood 2014; constants by Stafford): each bit of the result
// depends on all bits of x.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// weightBits is how many binary digits of a weight after the point count.
const weightBits = 32

// fixed returns w as a fixed-point number. Scaling by a power of two is exact, so every architecture cuts off alike.
func fixed(w float64) uint64 { return uint64(w * (1 << weightBits)) }

// candidate is an active node as slots see it.
type candidate struct {
	seed  uint64 // of the node's sequence of random numbers, one for each slot
	scale uint64 // 2^53 divided by the weight
	floor uint64 // scales a number to a bound of its score
	node  uint16
}

func candidateOf(hash uint64, w uint64, node int) candidate {
	// MinWeight keeps the quotient below 2^64.
	scale, _ := bits.Div64(1<<(53+weightBits-64), 0, w)
	return candidate{hash, scale, mulHigh(scale, log2e), uint16(node)}
}

// score returns the candidate's score for the slot with that key, -log2(u)/weight of a random u in (0, 1]: the lowest wins, in
// proportion to the weights. It is not computed if it is more than limit; then more than limit is returned.
//
// Nearly all candidates of a slot fail the limit, and for those the bound -log2(u) >= (1-u)*log2(e) spares the logarithm.
func (c *candidate) score(logs *logTable, key, limit uint64) uint64 {
	x := mix(c.seed + key)
	if bound := mulHigh(^x, c.floor); bound > limit {
		return bound
	}
	return mulHigh(logs.minusLog2(x), c.scale)
}

// ceiling returns a number that the score is not above, by -log2(u) <= (1-u)*log2(e)/u, without a logarithm.
func (c *candidate) ceiling(key uint64) uint64 {
	x := mix(c.seed + key)
	if x < 1<<63 {
		return nothing
	}
	bound := mulHigh(^x, c.floor) + 1
	return 2*bound + bound>>6 // u is at least 1/2; floor and logTable are each off by a thousandth
}

// mulHigh returns a*b/2^64.
func mulHigh(a, b uint64) uint64 {
	hi, _ := bits.Mul64(a, b)
	return hi
}

// slotKey tells a slot's random numbers from those of others.
func slotKey(slot int) uint64 { return uint64(slot+1) * golden }

const (
	logBits = 57 // binary digits of a logarithm after the point: 64 and its sign fit
	logStep = 8  // binary digits of a number that the table knows

	// log2e is log2(e) at the scale of a logarithm, a thousandth too small, so that rounding never lifts a bound above a score.
	log2e = 14413 << logBits / 10000
)

// logTable holds log2(1 + i/256).
type logTable [1<<logStep + 1]uint64

// logs computes each entry digit by digit: squaring a number doubles its logarithm, and when that passes 1 the digit is 1.
var logs = sync.OnceValue(func() *logTable {
	t := new(logTable)
	for i := range t {
		m := uint64(1<<logStep+i) << (63 - logStep) // 1 is 2^63
		if i == 1<<logStep {
			t[i] = 1 << logBits
			break
		}
		for range logBits {
			hi, lo := bits.Mul64(m, m) // 1 is 2^126
			t[i] <<= 1
			if hi >= 1<<63 {
				t[i]++
				m = hi
			} else {
				m = hi<<1 | lo>>63
			}
		}
	}
	return t
})

// minusLog2 returns -log2((x+1)/2^64), linear between the entries of the table, which is off by less than 3 in a million.
func (t *logTable) minusLog2(x uint64) uint64 {
	x++
	if x == 0 {
		return 0
	}
	zeros := bits.LeadingZeros64(x)
	fraction := x << zeros << 1
	i := fraction >> (64 - logStep)
	return uint64(zeros+1)<<logBits - t[i] - mulHigh(t[i+1]-t[i], fraction<<logStep)
}
