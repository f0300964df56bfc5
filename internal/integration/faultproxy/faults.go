package faultproxy

import "time"

// Faults are what a Proxy does to its connections. The zero value forwards untouched. They apply to everything that is
// not written yet: a black hole holds bytes that Latency has kept back so far, and a shorter Latency lets them go.
type Faults struct {
	// Latency is the time from reading a chunk to writing it, each way. Chunks overlap: it costs no throughput.
	Latency time.Duration
	// Jitter adds a random time below it to the latency of each chunk. The order stays.
	Jitter time.Duration
	// Seed restarts the random sequence of Jitter. With 0 it goes on; the first one gets a random seed. The log of the
	// test tells the seed.
	Seed uint64
	// BlackholeUp holds what clients send, their FINs and resets included, while sockets stay open. Held bytes move
	// again when the hole is gone.
	BlackholeUp bool
	// BlackholeDown does the same to what the target sends.
	BlackholeDown bool
	// Refuse resets new connections as soon as they are accepted.
	Refuse bool
	// Chunk is the most bytes that one write hands on, which tears frames; 0 means no limit.
	Chunk int
}

func (f Faults) hole(up bool) bool {
	if up {
		return f.BlackholeUp
	}
	return f.BlackholeDown
}

// delay returns the delay of a chunk that drew luck from [0,1).
func (f Faults) delay(luck float64) time.Duration {
	return f.Latency + time.Duration(luck*float64(f.Jitter))
}

func (f Faults) piece(b []byte) []byte {
	if f.Chunk > 0 {
		return b[:min(f.Chunk, len(b))]
	}
	return b
}
