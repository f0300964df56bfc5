// Package retry_test runs the packages below retry against real servers and under faults.
package retry_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/redisserver"
)

func TestMain(m *testing.M) {
	redisserver.Report()
	flag.Parse()
	flag.Set("test.parallel", "4") // the suite bounds calls of the store by time, so it must not be slow
	goleak.VerifyTestMain(m)
}
