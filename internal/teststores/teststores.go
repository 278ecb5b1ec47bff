// Package teststores names the kinds of store that tests run on. It is the one
// place to add a kind: the dialogues are then played on it, and the tests that kill
// a server run on it if it is durable.
package teststores

import (
	"testing"

	"roost/store"
	"roost/store/memstore"
	"roost/store/stores"
)

// Kind is a kind of store.
type Kind struct {
	Name string

	// Durable: what was written is there after the end of the process, and other
	// processes open the store by its URL. Tests that kill a server run on these.
	Durable bool

	// URL returns the URL of an empty store, which is removed when the test ends.
	// Nil where only this process has the store.
	URL func(t testing.TB) string

	// New returns the location of an empty store, which is removed when the test ends.
	New func(t testing.TB) store.Location
}

// SQLite is the kind of store that servers have if none is named.
var SQLite = Kind{Name: "sqlite", Durable: true, URL: sqliteURL, New: located(sqliteURL)}

// Memory is a store that exists only in this process.
var Memory = Kind{Name: "memory", New: func(testing.TB) store.Location { return memstore.New() }}

// Kinds are all kinds of store.
var Kinds = []Kind{SQLite, Memory}

// sqliteURL names a database without a reserve, which would be 32 MiB for each test.
func sqliteURL(t testing.TB) string { return stores.Default(t.TempDir()) + "?reserve=0" }

// located makes New of URL.
func located(url func(testing.TB) string) func(testing.TB) store.Location {
	return func(t testing.TB) store.Location {
		t.Helper()
		l, err := stores.Locate(url(t))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// Run runs a test on each kind of store.
func Run(t *testing.T, f func(t *testing.T, k Kind)) {
	for _, k := range Kinds {
		t.Run(k.Name, func(t *testing.T) { f(t, k) })
	}
}

// RunDurable runs a test on each kind of store that outlives its process.
func RunDurable(t *testing.T, f func(t *testing.T, k Kind)) {
	Run(t, func(t *testing.T, k Kind) {
		if !k.Durable {
			t.Skip("the store ends with its process")
		}
		f(t, k)
	})
}
