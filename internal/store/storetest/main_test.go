package storetest_test

import (
	"testing"

	"github.com/waypost/waypost/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
