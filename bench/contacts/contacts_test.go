package contacts

import (
	"slices"
	"testing"
)

// TestNeighbours: each account has the requested number of contacts, and is a contact of
// each of them.
func TestNeighbours(t *testing.T) {
	const n, contacts = 50, 10
	if got, want := Neighbours(0, n, 4), []int{49, 1, 48, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range n {
		all := Neighbours(i, n, contacts)
		sorted := slices.Compact(slices.Sorted(slices.Values(all)))
		if len(sorted) != contacts || slices.Contains(all, i) {
			t.Fatalf("%d: %v", i, all)
		}
		for _, j := range all {
			if !slices.Contains(Neighbours(j, n, contacts), i) {
				t.Errorf("%d is a contact of %d, but not the reverse", i, j)
			}
		}
	}
}
