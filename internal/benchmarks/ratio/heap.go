package ratio

import "runtime"

// LiveHeap returns how many bytes of the heap are in use, after what is free has been collected.
func LiveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one frees what finalizers and pools kept through the first
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
