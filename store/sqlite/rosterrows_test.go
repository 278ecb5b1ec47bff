package sqlite

import (
	"fmt"
	"testing"

	"roost/jid"
	"roost/store"
)

// TestRosterInOnePiece: reading a roster allocates one slice of items and one string for
// their texts, and does not keep the memory that a large roster needed.
func TestRosterInOnePiece(t *testing.T) {
	s := openTest(t, Config{})
	ctx := t.Context()
	owners := []jid.JID{jid.MustParse("romeo@example.com"), jid.MustParse("juliet@example.com")}
	sizes := []int{maxRowsKept + 1, 10}
	for k, owner := range owners {
		if _, _, err := s.ImportAccounts(ctx, []store.Account{{JID: owner}}, store.SkipExisting); err != nil {
			t.Fatal(err)
		}
		for i := range sizes[k] {
			r, err := s.Roster(ctx, owner)
			if err != nil {
				t.Fatal(err)
			}
			item := &store.RosterItem{JID: jid.MustParse(fmt.Sprintf("contact%d@example.com", i)), Name: fmt.Sprint("Name ", i)}
			if _, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: r.Version, Put: item}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k, owner := range owners {
		r, err := s.Roster(ctx, owner)
		if err != nil || len(r.Items) != sizes[k] {
			t.Fatalf("%d items, %v", len(r.Items), err)
		}
		for _, it := range r.Items {
			var n int
			if _, err := fmt.Sscanf(it.Name, "Name %d", &n); err != nil || it.JID.String() != fmt.Sprintf("contact%d@example.com", n) {
				t.Errorf("%s is named %q", it.JID, it.Name)
			}
		}
	}
	got := testing.AllocsPerRun(100, func() { _, _ = s.Roster(ctx, owners[1]) })
	if got > 4 { // of the query, the items, the texts
		t.Errorf("%v allocations for a roster of ten", got)
	}
	for range cap(s.readers) {
		c := <-s.readers
		if n := cap(c.roster.rows); n > maxRowsKept {
			t.Errorf("a connection keeps %d rows", n)
		}
		s.readers <- c
	}
}
