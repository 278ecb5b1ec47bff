package postgres

import (
	"testing"

	"go.uber.org/goleak"

	"roost/internal/pgtest"
	"roost/store"
	"roost/store/storetest"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Location {
		return location{pgtest.Shared(t).URL(t)}
	})
}
