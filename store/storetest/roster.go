package storetest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// put adds or replaces an item of a roster of any version, and returns the new version.
func put(t *testing.T, s store.Store, owner jid.JID, item store.RosterItem) int64 {
	t.Helper()
	r, err := s.Roster(t.Context(), owner)
	ok(t, "Roster", err)
	versions, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: owner, Expect: r.Version, Put: &item}})
	ok(t, "ApplyRoster", err)
	if len(versions) != 1 || versions[0] != r.Version+1 {
		t.Fatalf("ApplyRoster = %v after version %d", versions, r.Version)
	}
	return versions[0]
}

// remove removes an item from a roster, and returns the new version.
func remove(t *testing.T, s store.Store, owner, contact jid.JID) int64 {
	t.Helper()
	r, err := s.Roster(t.Context(), owner)
	ok(t, "Roster", err)
	versions, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: owner, Expect: r.Version, Remove: contact}})
	ok(t, "ApplyRoster", err)
	return versions[0]
}

// sorted sorts a roster's items by address, and their groups, and returns the items.
func sorted(items []store.RosterItem) []store.RosterItem {
	for i := range items {
		slices.Sort(items[i].Groups)
	}
	slices.SortFunc(items, func(a, b store.RosterItem) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	return items
}

// checkRostersOf compares the rosters of several owners with each one.
func checkRostersOf(t *testing.T, s store.Store) {
	t.Helper()
	owners := []jid.JID{nurse, nobody, jid.MustParse("juliet@example.com/balcony"), romeo, juliet}
	all, err := s.RostersOf(t.Context(), owners)
	ok(t, "RostersOf", err)
	if len(all) != len(owners) {
		t.Fatalf("RostersOf returned %d rosters of %d accounts", len(all), len(owners))
	}
	versions, err := s.RosterVersions(t.Context(), owners)
	ok(t, "RosterVersions", err)
	if len(versions) != len(owners) {
		t.Fatalf("RosterVersions returned %d versions of %d accounts", len(versions), len(owners))
	}
	blocked, err := s.BlockedOf(t.Context(), owners)
	ok(t, "BlockedOf", err)
	if len(blocked) != len(owners) {
		t.Fatalf("BlockedOf returned %d lists of %d accounts", len(blocked), len(owners))
	}
	for i, owner := range owners {
		want, err := s.Roster(t.Context(), owner)
		ok(t, "Roster", err)
		if !slices.Equal(blocked[i], want.Blocked) {
			t.Errorf("%v has blocked %q, want %q", owner, blocked[i], want.Blocked)
		}
		if versions[i] != want.Version {
			t.Errorf("the version of the roster of %v among others is %d, want %d", owner, versions[i], want.Version)
		}
		sorted(want.Items)
		if sorted(all[i].Items); !reflect.DeepEqual(all[i], want) {
			t.Errorf("the roster of %v among others is\n%+v, want\n%+v", owner, all[i], want)
		}
	}
	if none, err := s.RostersOf(t.Context(), nil); len(none) > 0 || err != nil {
		t.Errorf("RostersOf of nobody: %v, %v", none, err)
	}
	if none, err := s.RosterVersions(t.Context(), nil); len(none) > 0 || err != nil {
		t.Errorf("RosterVersions of nobody: %v, %v", none, err)
	}
	if none, err := s.BlockedOf(t.Context(), nil); len(none) > 0 || err != nil {
		t.Errorf("BlockedOf of nobody: %v, %v", none, err)
	}
}

func testRoster(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	empty, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	if empty.Version == 0 || empty.Items != nil || empty.Requests != nil {
		t.Errorf("a new roster is %+v", empty)
	}
	items := []store.RosterItem{
		{JID: jid.MustParse("a@example.org"), Name: "A & <B>", Groups: []string{"Friends", "Work, too"}, Subscription: store.Both},
		{JID: jid.MustParse("example.org"), Subscription: store.None, Ask: true},
		{JID: jid.MustParse("x@example.org/full"), Name: "\U0001F4F1", Groups: []string{"\u03a9"}, Subscription: store.From, Approved: true},
		{JID: romeo, Subscription: store.To, Ask: true, Approved: true},
	}
	for i := range items {
		items[i].Version = put(t, s, juliet, items[i])
	}
	put(t, s, nurse, store.RosterItem{JID: juliet})
	check := func(items []store.RosterItem) {
		t.Helper()
		r, err := s.Roster(ctx, jid.MustParse("juliet@example.com/balcony"))
		ok(t, "Roster", err)
		if got := sorted(r.Items); !reflect.DeepEqual(got, sorted(items)) {
			t.Errorf("items\n%+v, want\n%+v", got, items)
		}
		state, err := s.LoginState(ctx, juliet)
		ok(t, "LoginState", err)
		if sorted(state.Roster.Items); !reflect.DeepEqual(state.Roster, r) || state.HasOffline {
			t.Errorf("LoginState = %+v", state)
		}
		checkRostersOf(t, s)
	}
	check(items)

	// The roster has the keys of the blobs of one kind, and nothing else of them.
	blocked := func(want ...string) {
		t.Helper()
		r, err := s.Roster(ctx, juliet)
		ok(t, "Roster", err)
		state, err := s.LoginState(ctx, juliet)
		ok(t, "LoginState", err)
		if !slices.Equal(r.Blocked, want) || !slices.Equal(state.Roster.Blocked, want) {
			t.Errorf("blocked: %q and %q, want %q", r.Blocked, state.Roster.Blocked, want)
		}
		checkRostersOf(t, s)
	}
	blocked()
	for _, kind := range []string{store.BlockedKind, "other"} {
		ok(t, "UpdateBlobs", s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: kind}, func(tx store.BlobTx) error {
			return errors.Join(tx.Put(kind+"-b", nil), tx.Put(kind+"-a", []byte("x")))
		}))
	}
	blocked(store.BlockedKind+"-a", store.BlockedKind+"-b")

	// Nor is a message of a blocked sender stored.
	offline := func(from string, want error) {
		t.Helper()
		m := store.NewMessage{From: jid.MustParse(from), Stanza: []byte("<message/>"), Received: time.Now()}
		if err := s.AppendOffline(ctx, juliet, m, store.OfflineQuota{}); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("AppendOffline from %s: %v, want %v", from, err, want)
		}
		stored, err := s.AppendOfflineAll(ctx, juliet, []store.NewMessage{m}, store.OfflineQuota{})
		ok(t, "AppendOfflineAll", err)
		if err := stored[0].Err; !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("AppendOfflineAll from %s: %v, want %v", from, err, want)
		}
	}
	for _, key := range []string{"a@blocked.example/r", "b@blocked.example", "domain.example", juliet.Domain()} {
		ok(t, "UpdateBlobs", s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: store.BlockedKind}, func(tx store.BlobTx) error { return tx.Put(key, nil) }))
	}
	offline("a@blocked.example/r", store.ErrBlocked)
	offline("b@blocked.example/r", store.ErrBlocked)
	offline("c@domain.example", store.ErrBlocked)
	offline(juliet.Domain(), store.ErrBlocked)
	offline("a@blocked.example/s", nil)
	offline("a@sub.domain.example", nil)
	offline(juliet.String()+"/r", nil)
	stored, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	for _, m := range stored {
		ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, []int64{m.ID}))
	}
	check(items)

	// A replaced item keeps nothing of the old one.
	items[0] = store.RosterItem{JID: items[0].JID, Subscription: store.To}
	items[0].Version = put(t, s, juliet, items[0])
	check(items)
	remove(t, s, juliet, items[1].JID)
	items = slices.Delete(items, 1, 2)
	check(items)

	// Removing an item that does not exist changes nothing.
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	if v := remove(t, s, juliet, nobody); v != r.Version {
		t.Errorf("version %d after nothing was removed, before %d", v, r.Version)
	}
	ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("x"), Received: time.Now()}, store.OfflineQuota{Messages: 10}))
	state, err := s.LoginState(ctx, juliet)
	ok(t, "LoginState", err)
	if !state.HasOffline {
		t.Error("LoginState does not report a stored message")
	}
}

// testRosterTwice: one transaction may change a roster twice.
func testRosterTwice(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	v := put(t, s, juliet, store.RosterItem{JID: nurse})
	steps := func(second int64) []store.RosterUpdate {
		return []store.RosterUpdate{
			{Owner: juliet, Expect: v, Put: &store.RosterItem{JID: romeo, Ask: true}},
			{Owner: juliet, Expect: second, Put: &store.RosterItem{JID: romeo, Subscription: store.To}},
		}
	}
	_, err := s.ApplyRoster(ctx, steps(v))
	wants(t, "ApplyRoster, the second at the first one's version", err, store.ErrConflict)
	versions, err := s.ApplyRoster(ctx, steps(v+1))
	ok(t, "ApplyRoster", err)
	if len(versions) != 2 || versions[0] != v+1 || versions[1] != v+2 {
		t.Errorf("ApplyRoster leads to versions %d, want %d and %d", versions, v+1, v+2)
	}
	changes, current, known, err := s.RosterChanges(ctx, juliet, v+1)
	ok(t, "RosterChanges", err)
	if !known || current != v+2 || len(changes) != 1 || changes[0].Item.Subscription != store.To {
		t.Errorf("changes after the first step: %+v up to %d, %v", changes, current, known)
	}
}

// testRosterConflict: either all updates of several rosters happen or none.
func testRosterConflict(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, romeo)
	vj, vr := put(t, s, juliet, store.RosterItem{JID: nurse}), put(t, s, romeo, store.RosterItem{JID: nurse})
	both := func(ej, er int64) ([]int64, error) {
		return s.ApplyRoster(ctx, []store.RosterUpdate{
			{Owner: juliet, Expect: ej, Put: &store.RosterItem{JID: romeo, Subscription: store.Both}, RemoveRequest: romeo},
			{Owner: romeo, Expect: er, Put: &store.RosterItem{JID: juliet, Subscription: store.Both}, Remove: nurse},
		})
	}
	f := func(index int, owner jid.JID, current int64, err error) {
		t.Helper()
		wants(t, "ApplyRoster", err, store.ErrConflict)
		var re *store.RosterError
		if !errors.As(err, &re) || re.Index != index || re.Owner != owner || re.Current != current {
			t.Errorf("ApplyRoster: %#v", re)
		}
		for owner, want := range map[jid.JID]int64{juliet: vj, romeo: vr} {
			r, err := s.Roster(ctx, owner)
			ok(t, "Roster", err)
			if r.Version != want || len(r.Items) != 1 {
				t.Errorf("a refused update left %+v of %v", r, owner)
			}
		}
	}
	_, err := both(vj+1, vr)
	f(0, juliet, vj, err)
	_, err = both(vj, vr-1)
	f(1, romeo, vr, err)
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{
		{Owner: juliet, Expect: vj, Remove: nurse},
		{Owner: nobody, Put: &store.RosterItem{JID: juliet}},
	})
	wants(t, "ApplyRoster of nobody", err, store.ErrNotFound)

	versions, err := both(vj, vr)
	ok(t, "ApplyRoster", err)
	// Romeo's roster has one version for the added item and one for the removed one.
	if !slices.Equal(versions, []int64{vj + 1, vr + 2}) {
		t.Errorf("versions %v after %d and %d", versions, vj, vr)
	}
	r, err := s.Roster(ctx, romeo)
	ok(t, "Roster", err)
	if len(r.Items) != 1 || r.Items[0].JID != juliet || r.Version != vr+2 {
		t.Errorf("Roster = %+v", r)
	}
	versions, err = s.ApplyRoster(ctx, nil)
	ok(t, "ApplyRoster of nothing", err)
	if len(versions) != 0 {
		t.Errorf("versions %v of nothing", versions)
	}
}

func testRosterRequests(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	update := func(u store.RosterUpdate) {
		t.Helper()
		u.Owner, u.Expect = juliet, r.Version
		versions, err := s.ApplyRoster(ctx, []store.RosterUpdate{u})
		ok(t, "ApplyRoster", err)
		// Requests alone do not change the version.
		if want := r.Version; !u.ChangesItems() && versions[0] != want {
			t.Errorf("version %d, want %d", versions[0], want)
		}
		r.Version = versions[0]
	}
	check := func(want ...store.Request) {
		t.Helper()
		got, err := s.SubscriptionRequests(ctx, juliet)
		ok(t, "SubscriptionRequests", err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("requests %+v, want %+v", got, want)
		}
		var contacts []string
		for _, q := range want {
			contacts = append(contacts, q.From.String())
		}
		now, err := s.Roster(ctx, juliet)
		ok(t, "Roster", err)
		if !slices.Equal(now.Requests, contacts) {
			t.Errorf("Requests = %q, want %q", now.Requests, contacts)
		}
		checkRostersOf(t, s)
	}
	first := store.Request{From: romeo, Stanza: []byte("<presence type='subscribe'/>"), Received: at}
	second := store.Request{From: nurse, Stanza: []byte("<presence type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>N</nick></presence>"), Received: at.Add(time.Hour)}
	update(store.RosterUpdate{AddRequest: &first})
	update(store.RosterUpdate{AddRequest: &second})
	check(first, second)
	// At most one per contact; a newer one takes the place of the older.
	first.Stanza = []byte("<presence type='subscribe' id='2'/>")
	update(store.RosterUpdate{AddRequest: &first})
	check(first, second)
	update(store.RosterUpdate{RemoveRequest: romeo, Put: &store.RosterItem{JID: romeo, Subscription: store.From}})
	check(second)
	update(store.RosterUpdate{RemoveRequest: romeo})
	check(second)
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: juliet, Expect: r.Version + 1, RemoveRequest: nurse}})
	wants(t, "ApplyRoster of a request, at a wrong version", err, store.ErrConflict)
	check(second)
}
