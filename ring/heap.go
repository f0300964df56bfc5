package ring

// A heap is a slice whose first element comes before all others by less. The functions are those of container/heap, without
// its interface: a preference is looked up on the path of a request.

func heapify[T any](s []T, less func(T, T) bool) {
	for i := len(s)/2 - 1; i >= 0; i-- {
		sink(s, i, less)
	}
}

// sink moves s[i] down to where it belongs.
func sink[T any](s []T, i int, less func(T, T) bool) {
	for {
		child := 2*i + 1
		if child >= len(s) {
			return
		}
		if child+1 < len(s) && less(s[child+1], s[child]) {
			child++
		}
		if !less(s[child], s[i]) {
			return
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}

// pop removes the first element.
func pop[T any](s []T, less func(T, T) bool) []T {
	last := len(s) - 1
	s[0] = s[last]
	sink(s[:last], 0, less)
	return s[:last]
}

// push adds x.
func push[T any](s []T, x T, less func(T, T) bool) []T {
	s = append(s, x)
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !less(s[i], s[parent]) {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
	return s
}
