package timer_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets no test leave a goroutine behind: a closed engine has none (contract K1).
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
