package memstore

import (
	"testing"

	"go.uber.org/goleak"

	"roost/store"
	"roost/store/storetest"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Location { return New() })
}
