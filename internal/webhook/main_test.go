package webhook_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(storetest.Runner{M: m}) }
