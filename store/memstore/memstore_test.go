package memstore

import (
	"testing"

	"go.uber.org/goleak"

	"roost/store"
	"roost/store/storetest"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Location { return New() })
}
