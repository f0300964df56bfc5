//go:build !unix

package pause

import (
	"errors"
	"os"
)

// Stop fails with [errors.ErrUnsupported].
func Stop(*os.Process) error { return errors.ErrUnsupported }

// Resume fails with [errors.ErrUnsupported].
func Resume(*os.Process) error { return errors.ErrUnsupported }
