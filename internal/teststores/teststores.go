// Package teststores lists the kinds of store that tests run on. It is the one place
// to add a kind: dialogues are then played on it, and the tests that kill a process
// run on it if it is durable.
package teststores

import (
	"context"
	"testing"

	"roost/store"
	"roost/store/memstore"
	"roost/store/stores"
)

// Kind is a kind of store.
type Kind struct {
	Name string

	// Durable means that what was written outlives the process, and that other
	// processes can open the store by its URL. Tests that kill a process run on these
	// kinds.
	Durable bool

	// URL returns the URL of an empty store, which is removed when the test ends. It
	// is nil unless the kind is durable.
	URL func(t testing.TB) string

	// New returns the location of an empty store, which is removed when the test ends.
	New func(t testing.TB) store.Location

	// OpenBusy opens the store at a URL with settings that make its background work
	// frequent, so that a process is likely to be killed in the midst of it. Nil means
	// stores.Open.
	OpenBusy func(ctx context.Context, url string) (store.Store, error)

	// Cuts limits the cuts with which a dialogue is played, because a new store takes
	// long. 0 means no limit.
	Cuts int

	// Check fails the test if the store at a URL is damaged. Nothing has it open. Nil
	// means that the kind has no check of its own.
	Check func(t testing.TB, url string)
}

// Memory is a store that exists only in this process.
var Memory = Kind{Name: "memory", New: func(testing.TB) store.Location { return memstore.New() }}

// Kinds are all kinds of store.
var Kinds = []Kind{SQLite, Memory, PostgreSQL}

// located returns the New of a kind that has a URL.
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

// open opens a durable store with OpenBusy, or with the defaults.
func (k Kind) open(ctx context.Context, url string) (store.Store, error) {
	if k.OpenBusy != nil {
		return k.OpenBusy(ctx, url)
	}
	return stores.Open(ctx, url, store.Options{})
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
