package cmdtest

import (
	"testing"

	"roost/store"
	"roost/store/faultstore"
	"roost/store/stores"
)

// OpenStore opens the database of a data directory and closes it at the end of the test.
func OpenStore(t *testing.T, dir string) store.Store {
	t.Helper()
	return OpenFaulty(t, dir, new(faultstore.Faults))
}

// OpenFaulty is OpenStore with fault injection.
func OpenFaulty(t *testing.T, dir string, faults *faultstore.Faults) store.Store {
	t.Helper()
	s, err := stores.Open(t.Context(), stores.Default(dir), faults.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
