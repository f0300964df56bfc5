//go:build !linux && !darwin

package ratio

import (
	"errors"
	"time"
)

// cpuTime has no getrusage to ask. Wall time in its place would be a number that means something else.
func cpuTime() (time.Duration, error) { return 0, errors.ErrUnsupported }
