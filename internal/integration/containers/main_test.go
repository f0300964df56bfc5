package containers

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Report()
	goleak.VerifyTestMain(m)
}
