package stores_test

import (
	"testing"

	"roost/internal/teststores"
	"roost/store/storetest"
)

// TestCopy: stores are copied from each kind that is durable to each one.
func TestCopy(t *testing.T) {
	for _, from := range teststores.Kinds {
		for _, to := range teststores.Kinds {
			if from.Durable && to.Durable && (from.Name != to.Name || from.Name == teststores.SQLite.Name) {
				t.Run(from.Name+" to "+to.Name, func(t *testing.T) { storetest.Copy(t, from.New, to.New) })
			}
		}
	}
}
