package target_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets no test leave a goroutine behind, and tests trust their own receivers.
func TestMain(m *testing.M) {
	trust()
	goleak.VerifyTestMain(m)
}
