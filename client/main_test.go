package client_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets no test leave a goroutine behind. The alarm of the engine that all share is none: it stays set for when a stream of
// events would have been quiet for too long, although that stream is closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dulyhq/duly/clock.(*fdAlarm).serve"))
}
