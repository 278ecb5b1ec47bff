package storetest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

func blobOf(kind, key string, value []byte) store.Blob {
	return store.Blob{Kind: kind, Key: key, Value: value}
}

// fullAccount returns an account with something of everything.
func fullAccount(j jid.JID) store.AccountData {
	return store.AccountData{
		Account: store.Account{JID: j, Credentials: only(store.SHA1, credentials(7)), Disabled: true, Created: time.Unix(9e8, 0).UTC()},
		Roster: []store.RosterItem{
			{JID: romeo, Name: "R", Groups: []string{"b", "a"}, Subscription: store.Both},
			{JID: nurse, Ask: true}, {JID: paris, Approved: true},
		},
		Requests: []store.Request{
			{From: paris, Stanza: []byte("p"), Received: time.Unix(1e9, 0).UTC()}, {From: jid.MustParse("a@a.example"), Stanza: []byte("a"), Received: time.Unix(9e8, 0).UTC()},
		},
		Messages: []store.NewMessage{
			{From: romeo, Stanza: []byte("first"), Received: time.UnixMilli(1e12 + 5).UTC()}, {From: nurse, Stanza: []byte("2"), Received: time.UnixMilli(9e11).UTC()},
			{From: romeo, Stanza: []byte("third"), Received: time.UnixMilli(1e12 + 7).UTC()},
		},
		Blobs: []store.Blob{blobOf("k", "a", []byte("1")), blobOf("k", "b", nil), blobOf(store.BlockedKind, romeo.String(), nil)},
		Last:  &store.LastActivity{At: time.Unix(1e9, 0).UTC(), Status: []byte("bye")},
	}
}

// testCreateAccounts: accounts are created with all their data, whatever their quotas and
// blocks; those that exist do not change; of two with the same name the first counts.
func testCreateAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	put(t, s, juliet, store.RosterItem{JID: romeo})
	account, roster := dataOf(t, s, juliet)
	last, err := s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	want, second := fullAccount(nurse), fullAccount(nurse)
	second.Roster, second.Blobs = nil, []store.Blob{blobOf("k", "c", []byte("2"))}
	created, err := s.CreateAccounts(ctx, []store.AccountData{fullAccount(juliet), want, second, {Account: store.Account{JID: paris, Credentials: credentials(1)}}})
	ok(t, "CreateAccounts", err)
	if !slices.Equal(created, []bool{false, true, false, true}) {
		t.Errorf("created: %v", created)
	}
	events, err := s.AccountEvents(ctx, last, 10)
	ok(t, "AccountEvents", err)
	if len(events) != 2 || events[0].JID != nurse || events[0].Kind != store.AccountCreated || events[1].JID != paris {
		t.Errorf("events %+v", events)
	}
	a, err := s.Account(ctx, nurse)
	ok(t, "Account", err)
	if !same(a.Credentials, want.Credentials) || !a.Disabled || !a.Created.Equal(want.Created) || a.Generation != events[0].ID || a.Event != a.Generation {
		t.Errorf("account %+v", a)
	}
	wantData(t, s, want)
	r, err := s.Roster(ctx, nurse)
	ok(t, "Roster", err)
	changes, current, known, err := s.RosterChanges(ctx, nurse, r.Version-1)
	ok(t, "RosterChanges", err)
	if !known || current != r.Version || len(changes) != 1 || changes[0].Item.JID != paris {
		t.Errorf("the last change of version %d: %+v, known: %v", r.Version, changes, known)
	}
	// What is derived from messages counts them.
	refused := func(what string, m store.NewMessage, q store.OfflineQuota, want error) {
		t.Helper()
		wants(t, what, s.AppendOffline(ctx, nurse, m, q), want)
	}
	refused("blocked", store.NewMessage{From: romeo, Stanza: []byte("x")}, store.OfflineQuota{}, store.ErrBlocked)
	refused("bytes", store.NewMessage{From: paris, Stanza: []byte("x")}, store.OfflineQuota{Bytes: 11}, store.ErrQuota)
	refused("share", store.NewMessage{From: nurse, Stanza: []byte("x")}, store.OfflineQuota{SenderMessages: 1}, store.ErrQuota)
	ok(t, "AppendOffline", s.AppendOffline(ctx, nurse, store.NewMessage{From: nurse, Stanza: []byte("x")}, store.OfflineQuota{Messages: 4, Bytes: 12, SenderMessages: 2, SenderBytes: 2}))
	wantBlobs(t, s, juliet, "k")
	if a, r := dataOf(t, s, juliet); !reflect.DeepEqual(a, account) || !reflect.DeepEqual(r, roster) {
		t.Errorf("the account that existed has changed: %+v, %+v; before: %+v, %+v", a, r, account, roster)
	}
}

// dataOf returns an account and its roster.
func dataOf(t *testing.T, s store.Store, j jid.JID) (store.Account, store.Roster) {
	t.Helper()
	a, err := s.Account(t.Context(), j)
	ok(t, "Account", err)
	r, err := s.Roster(t.Context(), j)
	ok(t, "Roster", err)
	return a, r
}

// wantData fails unless an account has these data, except for its own row.
func wantData(t *testing.T, s store.Store, want store.AccountData) {
	t.Helper()
	ctx := t.Context()
	r, err := s.Roster(ctx, want.JID)
	ok(t, "Roster", err)
	items := sorted(r.Items)
	wantItems := sorted(want.Roster)
	if !slices.EqualFunc(items, wantItems, func(a, b store.RosterItem) bool {
		return a.JID == b.JID && a.Name == b.Name && slices.Equal(a.Groups, b.Groups) && a.Subscription == b.Subscription && a.Ask == b.Ask && a.Approved == b.Approved
	}) {
		t.Errorf("roster\n%+v, want\n%+v", items, wantItems)
	}
	requests, err := s.SubscriptionRequests(ctx, want.JID)
	ok(t, "SubscriptionRequests", err)
	if !slices.EqualFunc(requests, want.Requests, func(a, b store.Request) bool {
		return a.From == b.From && string(a.Stanza) == string(b.Stanza) && a.Received.Equal(b.Received)
	}) {
		t.Errorf("requests\n%+v, want\n%+v", requests, want.Requests)
	}
	messages, _, err := s.Offline(ctx, want.JID, 0, 1<<20)
	ok(t, "Offline", err)
	if !slices.EqualFunc(messages, want.Messages, func(a store.OfflineMessage, b store.NewMessage) bool {
		return string(a.Stanza) == string(b.Stanza) && a.Received.Equal(b.Received)
	}) {
		t.Errorf("messages\n%+v, want\n%+v", messages, want.Messages)
	}
	for _, b := range want.Blobs {
		value, err := s.Blob(ctx, want.JID, b.Kind, b.Key)
		ok(t, "Blob", err)
		if value == nil || string(value) != string(b.Value) {
			t.Errorf("%s %s = %q, want %q", b.Kind, b.Key, value, b.Value)
		}
	}
	seen, err := s.LastActivity(ctx, want.JID)
	ok(t, "LastActivity", err)
	if !seen.At.Equal(want.Last.At) || string(seen.Status) != string(want.Last.Status) {
		t.Errorf("last activity %+v, want %+v", seen, want.Last)
	}
}
