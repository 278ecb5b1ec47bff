package storetest

import (
	"math/rand/v2"
	"testing"

	"roost/jid"
	"roost/store"
)

// longAddress returns a full JID of n bytes, from 2049 to 3071. Its letters do not repeat themselves,
// so that no store can make it much shorter.
func longAddress(n int) jid.JID {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	resource := n - jid.MaxPart
	for i := jid.MaxPart + 9; i < resource-2; i += 8 { // the labels of the domain
		b[i] = '.'
	}
	b[jid.MaxPart], b[resource-1] = '@', '/'
	return jid.MustParse(string(b))
}

// testLongKeys: addresses of roster items and keys of blobs may have MaxKey bytes. Longer ones are
// refused, and change nothing.
func testLongKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	fits, long := longAddress(store.MaxKey), longAddress(store.MaxKey+1)
	apply := func(u store.RosterUpdate) error {
		r, err := s.Roster(ctx, juliet)
		ok(t, "Roster", err)
		u.Owner, u.Expect = juliet, r.Version
		_, err = s.ApplyRoster(ctx, []store.RosterUpdate{u})
		return err
	}
	block := func(key string, ignore bool) error {
		return s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: store.BlockedKind}, func(tx store.BlobTx) error {
			if err := tx.Put(key, nil); err != nil && !ignore {
				return err
			}
			return nil
		})
	}
	importOne := func(name string, key jid.JID) error {
		d := store.AccountData{Account: store.Account{JID: jid.MustParse(name + "@example.com")}}
		if name == "item" {
			d.Roster = []store.RosterItem{{JID: key}}
		} else {
			d.Blobs = []store.Blob{{Kind: store.BlockedKind, Key: key.String()}}
		}
		_, err := s.CreateAccounts(ctx, []store.AccountData{d})
		return err
	}

	before := snapshot(t, s)
	wants(t, "ApplyRoster", apply(store.RosterUpdate{Put: &store.RosterItem{JID: long}}), store.ErrLongKey)
	wants(t, "UpdateBlobs", block(long.String(), false), store.ErrLongKey)
	wants(t, "UpdateBlobs that ignores it", block(long.String(), true), store.ErrLongKey)
	wants(t, "CreateAccounts with an item", importOne("item", long), store.ErrLongKey)
	wants(t, "CreateAccounts with a blob", importOne("blob", long), store.ErrLongKey)
	if snapshot(t, s) != before {
		t.Error("what was refused has changed the store")
	}

	ok(t, "ApplyRoster", apply(store.RosterUpdate{Put: &store.RosterItem{JID: fits}}))
	ok(t, "ApplyRoster that removes it", apply(store.RosterUpdate{Remove: fits}))
	ok(t, "ApplyRoster that removes what is not there", apply(store.RosterUpdate{Remove: long}))
	ok(t, "UpdateBlobs", block(fits.String(), false))
	ok(t, "CreateAccounts with an item", importOne("item", fits))
	ok(t, "CreateAccounts with a blob", importOne("blob", fits))
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	if len(r.Items) != 0 || len(r.Blocked) != 1 || r.Blocked[0] != fits.String() {
		t.Errorf("the roster has %d items and %d blocked addresses, want the latter", len(r.Items), len(r.Blocked))
	}
}
