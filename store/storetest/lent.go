package storetest

import (
	"slices"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// lender returns JIDs that refer to memory which is overwritten after the call that they
// were lent for.
type lender struct {
	t   *testing.T
	all [][]byte
}

func (l *lender) jid(j jid.JID) jid.JID {
	l.t.Helper()
	b := []byte(j.String())
	lent, err := jid.ParseBytes(b)
	ok(l.t, "ParseBytes", err)
	l.all = append(l.all, b)
	return lent
}

// over checks the error of a call and overwrites the memory lent for it.
func (l *lender) over(what string, err error) {
	l.t.Helper()
	ok(l.t, what, err)
	for _, b := range l.all {
		for i := range b {
			b[i] = 'x'
		}
	}
	l.all = nil
}

// testLent: a store keeps no JID that was passed to it: the caller reuses the memory.
func testLent(t *testing.T, s store.Store) {
	ctx := t.Context()
	l := &lender{t: t}
	version := func() int64 {
		t.Helper()
		r, err := s.Roster(ctx, juliet)
		ok(t, "Roster", err)
		return r.Version
	}
	l.over("CreateAccount", s.CreateAccount(ctx, store.Account{JID: l.jid(juliet), Credentials: credentials(1)}))
	_, _, err := s.ImportAccounts(ctx, []store.Account{{JID: l.jid(nurse), Credentials: credentials(1)}}, store.SkipExisting)
	l.over("ImportAccounts", err)
	_, err = s.CreateAccounts(ctx, []store.AccountData{{
		Account: store.Account{JID: l.jid(paris)}, Roster: []store.RosterItem{{JID: l.jid(romeo)}}, Requests: []store.Request{{From: l.jid(nurse)}},
		Messages: []store.NewMessage{{From: l.jid(romeo)}},
	}})
	l.over("CreateAccounts", err)
	r, err := s.Roster(ctx, paris)
	ok(t, "Roster", err)
	if len(r.Items) != 1 || r.Items[0].JID != romeo || len(r.Requests) != 1 || r.Requests[0] != nurse.String() {
		t.Errorf("roster of an account with data: %+v", r)
	}
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, paris, store.AnyEvent))
	_, err = s.SetCredentials(ctx, l.jid(juliet), store.AnyEvent, credentials(2), false)
	l.over("SetCredentials", err)
	l.over("AddKeys", s.AddKeys(ctx, l.jid(juliet), store.AnyEvent, credentials(3)))
	l.over("SetDisabled", s.SetDisabled(ctx, l.jid(juliet), true))
	for _, u := range []store.RosterUpdate{
		{Put: &store.RosterItem{JID: l.jid(romeo), Subscription: store.To}, AddRequest: &store.Request{From: l.jid(nurse), Stanza: []byte("r"), Received: time.Now()}},
		{Put: &store.RosterItem{JID: l.jid(nurse), Subscription: store.Both}},
		{Remove: l.jid(romeo)},
	} {
		u.Owner, u.Expect = l.jid(juliet), version()
		_, err = s.ApplyRoster(ctx, []store.RosterUpdate{u})
		ok(t, "ApplyRoster", err)
	}
	l.over("ApplyRoster", nil)
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: l.jid(paris)}})
	wants(t, "ApplyRoster without an account", err, store.ErrNotFound)
	text := err.Error()
	l.over("", nil)
	if err.Error() != text {
		t.Errorf("the error %q has become %q", text, err)
	}
	l.over("AppendOffline", s.AppendOffline(ctx, l.jid(juliet), store.NewMessage{From: l.jid(romeo), Stanza: []byte("m")}, store.OfflineQuota{}))
	l.over("UpdateBlobs", s.UpdateBlobs(ctx, store.BlobSet{Owner: l.jid(juliet), Kind: "k"}, func(tx store.BlobTx) error { return tx.Put("a", []byte("1")) }))
	l.over("SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: l.jid(juliet), At: time.Now()}}))
	a, err := s.Account(ctx, l.jid(juliet))
	l.over("Account", err)
	last, err := s.LastActivity(ctx, l.jid(juliet))
	l.over("LastActivity", err)
	if a.JID != juliet || last.Owner != juliet {
		t.Errorf("read of %v: an account of %v, last activity of %v", juliet, a.JID, last.Owner)
	}

	list, err := s.ListAccounts(ctx, "", jid.JID{}, 10)
	ok(t, "ListAccounts", err)
	if len(list) != 2 || list[0].JID != juliet || list[1].JID != nurse || !list[0].Disabled {
		t.Errorf("accounts %+v", list)
	}
	changes, _, _, err := s.RosterChanges(ctx, juliet, version()-3)
	ok(t, "RosterChanges", err)
	if len(changes) != 2 || changes[0].Item.JID != nurse || changes[1].Item.JID != romeo {
		t.Errorf("changes %+v", changes)
	}
	requests, err := s.SubscriptionRequests(ctx, juliet)
	ok(t, "SubscriptionRequests", err)
	if len(requests) != 1 || requests[0].From != nurse {
		t.Errorf("requests %+v", requests)
	}
	wants(t, "AppendOffline of a sender at its quota", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("m")}, store.OfflineQuota{SenderMessages: 1}), store.ErrQuota)
	wantBlobs(t, s, juliet, "k", "a=1")
	l.over("DeleteAccount", s.DeleteAccount(ctx, l.jid(juliet), store.AnyEvent))
	events, err := s.AccountEvents(ctx, 0, 10)
	ok(t, "AccountEvents", err)
	var owners []jid.JID
	for _, e := range events {
		owners = append(owners, e.JID)
	}
	if !slices.Equal(owners, []jid.JID{juliet, nurse, paris, paris, juliet, juliet, juliet}) {
		t.Errorf("events of %v", owners)
	}
}
