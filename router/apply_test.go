package router

import (
	"errors"
	"path/filepath"
	"testing"

	"roost/jid"
	"roost/store"
	"roost/store/sqlite"
)

// TestApplyChecksBothSides: a change of one roster that was decided by two rosters is
// refused if the other one has changed, even if the change does not affect the other one.
func TestApplyChecksBothSides(t *testing.T) {
	ctx := t.Context()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), sqlite.FileName), ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := New(Config{Store: db})
	defer r.Close()
	romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	for _, owner := range []jid.JID{romeo, juliet} {
		if err := db.CreateAccount(ctx, store.Account{JID: owner}); err != nil {
			t.Fatal(err)
		}
	}
	changes := func() (mine, theirs *change) {
		t.Helper()
		mine = &change{update: store.RosterUpdate{Owner: romeo}}
		theirs = &change{update: store.RosterUpdate{Owner: juliet, AddRequest: &store.Request{From: romeo, Stanza: []byte("<presence/>")}}}
		for _, c := range []*change{mine, theirs} {
			if c.before, err = r.Roster(c.update.Owner); err != nil {
				t.Fatal(err)
			}
		}
		return mine, theirs
	}
	mine, theirs := changes()
	if err := db.DeleteAccount(ctx, romeo, store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateAccount(ctx, store.Account{JID: romeo}); err != nil {
		t.Fatal(err)
	}
	if err := r.apply(mine, theirs); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v, want a conflict", err)
	}
	if sr, err := db.Roster(ctx, juliet); err != nil || len(sr.Requests) != 0 {
		t.Errorf("the other roster was changed: %v, %v", sr, err)
	}
	mine, theirs = changes()
	if err := r.apply(mine, theirs); err != nil || mine.after != mine.before || !theirs.after.Pending("romeo@localhost") {
		t.Errorf("%v; %v, %v", err, mine.after, theirs.after)
	}
}
