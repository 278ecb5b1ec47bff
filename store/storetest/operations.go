package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// operation is a call of one method of a store.
type operation struct {
	name string // of the method
	call func(ctx context.Context, s *fixture) error
}

// fixture is a store in which juliet's account has something of everything.
type fixture struct {
	store.Store
	event   int64 // the newest of juliet's account
	version int64 // of its roster

	messages []int64 // IDs of its messages
}

// operations has all methods of store.Store except Close. Each call succeeds on
// a new fixture, and each one that writes changes what snapshot returns.
var operations = []operation{
	{"Account", func(ctx context.Context, s *fixture) error { _, err := s.Account(ctx, juliet); return err }},
	{"Shapes", func(ctx context.Context, s *fixture) error { _, err := s.Shapes(ctx); return err }},
	{"MissingKeys", func(ctx context.Context, s *fixture) error {
		_, err := s.MissingKeys(ctx, juliet.Domain())
		return err
	}},
	{"CreateAccount", func(ctx context.Context, s *fixture) error {
		return s.CreateAccount(ctx, store.Account{JID: nobody, Credentials: credentials(1)})
	}},
	{"RegisterAccount", func(ctx context.Context, s *fixture) error {
		return s.RegisterAccount(ctx, store.Account{JID: nobody, Credentials: credentials(1)}, time.Unix(1e9, 0))
	}},
	{"SetCredentials", func(ctx context.Context, s *fixture) error {
		_, err := s.SetCredentials(ctx, juliet, s.event, credentials(2), false)
		return err
	}},
	{"AddKeys", func(ctx context.Context, s *fixture) error { return s.AddKeys(ctx, juliet, s.event, credentials(2)) }},
	{"SetDisabled", func(ctx context.Context, s *fixture) error { return s.SetDisabled(ctx, juliet, true) }},
	{"DeleteAccount", func(ctx context.Context, s *fixture) error { return s.DeleteAccount(ctx, juliet, s.event) }},
	{"DeleteUnused", func(ctx context.Context, s *fixture) error {
		return s.DeleteUnused(ctx, juliet, time.Unix(2e9, 0), time.Time{})
	}},
	{"ForgetDeleted", func(ctx context.Context, s *fixture) error {
		return s.ForgetDeleted(ctx, time.Now().Add(time.Hour), time.Now().Add(time.Hour))
	}},
	{"ListAccounts", func(ctx context.Context, s *fixture) error {
		_, err := s.ListAccounts(ctx, "", jid.JID{}, 10)
		return err
	}},
	{"ListLacking", func(ctx context.Context, s *fixture) error {
		_, err := s.ListLacking(ctx, store.SHA256, "", jid.JID{}, 10)
		return err
	}},
	{"ImportAccounts", func(ctx context.Context, s *fixture) error {
		_, _, err := s.ImportAccounts(ctx, []store.Account{{JID: juliet, Credentials: credentials(2)}, {JID: nobody}}, store.UpdateExisting)
		return err
	}},
	{"CreateAccounts", func(ctx context.Context, s *fixture) error {
		_, err := s.CreateAccounts(ctx, []store.AccountData{fullAccount(juliet), fullAccount(nobody)})
		return err
	}},
	{"Watch", func(ctx context.Context, s *fixture) error {
		enough := errors.New("enough")
		err := s.Watch(ctx, 0, func([]store.AccountEvent) error { return enough })
		if errors.Is(err, enough) {
			return nil
		}
		return err
	}},
	{"AccountEvents", func(ctx context.Context, s *fixture) error { _, err := s.AccountEvents(ctx, 0, 10); return err }},
	{"EventContacts", func(ctx context.Context, s *fixture) error {
		_, err := s.EventContacts(ctx, 1, jid.JID{}, 10)
		return err
	}},
	{"LastAccountEvent", func(ctx context.Context, s *fixture) error { _, err := s.LastAccountEvent(ctx); return err }},
	{"Roster", func(ctx context.Context, s *fixture) error { _, err := s.Roster(ctx, juliet); return err }},
	{"RostersOf", func(ctx context.Context, s *fixture) error {
		_, err := s.RostersOf(ctx, []jid.JID{nobody, juliet})
		return err
	}},
	{"RosterVersions", func(ctx context.Context, s *fixture) error {
		_, err := s.RosterVersions(ctx, []jid.JID{nobody, juliet})
		return err
	}},
	{"BlockedOf", func(ctx context.Context, s *fixture) error {
		_, err := s.BlockedOf(ctx, []jid.JID{nobody, juliet})
		return err
	}},
	{"RosterChanges", func(ctx context.Context, s *fixture) error {
		_, _, _, err := s.RosterChanges(ctx, juliet, 0)
		return err
	}},
	{"ApplyRoster", func(ctx context.Context, s *fixture) error {
		_, err := s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: juliet, Expect: s.version, Put: &store.RosterItem{JID: paris}}})
		return err
	}},
	{"SubscriptionRequests", func(ctx context.Context, s *fixture) error {
		_, err := s.SubscriptionRequests(ctx, juliet)
		return err
	}},
	{"AppendOffline", func(ctx context.Context, s *fixture) error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("2")}, store.OfflineQuota{})
	}},
	{"Offline", func(ctx context.Context, s *fixture) error { _, _, err := s.Offline(ctx, juliet, 0, 10); return err }},
	{"AppendOfflineAll", func(ctx context.Context, s *fixture) error {
		_, err := s.AppendOfflineAll(ctx, juliet, []store.NewMessage{{From: romeo, Stanza: []byte("2")}}, store.OfflineQuota{})
		return err
	}},
	{"DeleteOffline", func(ctx context.Context, s *fixture) error { return s.DeleteOffline(ctx, juliet, s.messages) }},
	{"ExpireOffline", func(ctx context.Context, s *fixture) error {
		_, err := s.ExpireOffline(ctx, time.Unix(2e9, 0), 10)
		return err
	}},
	{"CountOffline", func(ctx context.Context, s *fixture) error { _, err := s.CountOffline(ctx, juliet); return err }},
	{"Blob", func(ctx context.Context, s *fixture) error { _, err := s.Blob(ctx, juliet, "k", "a"); return err }},
	{"BlobKeys", func(ctx context.Context, s *fixture) error { _, err := s.BlobKeys(ctx, juliet, "k"); return err }},
	{"UpdateBlobs", func(ctx context.Context, s *fixture) error {
		return s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: "k"}, func(tx store.BlobTx) error { return tx.Put("a", []byte("2")) })
	}},
	{"SetLastActivity", func(ctx context.Context, s *fixture) error {
		return s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: time.Unix(2e9, 0)}})
	}},
	{"LastActivity", func(ctx context.Context, s *fixture) error { _, err := s.LastActivity(ctx, juliet); return err }},
	{"NoteUse", func(ctx context.Context, s *fixture) error {
		return s.NoteUse(ctx, []store.AccountUse{{Owner: juliet, Day: 30000}})
	}},
	{"ListBlocks", func(ctx context.Context, s *fixture) error { _, err := s.ListBlocks(ctx); return err }},
	{"PutBlock", func(ctx context.Context, s *fixture) error {
		return s.PutBlock(ctx, store.Block{Target: "198.51.100.0/24", Created: time.Unix(2e9, 0)}, 10)
	}},
	{"DeleteBlock", func(ctx context.Context, s *fixture) error { return s.DeleteBlock(ctx, blocked) }},
	{"DeleteEndedBlocks", func(ctx context.Context, s *fixture) error { return s.DeleteEndedBlocks(ctx, time.Unix(2e9, 0)) }},
	{"PutSessions", func(ctx context.Context, s *fixture) error {
		return s.PutSessions(ctx, []store.SavedSession{saved("n", "2")})
	}},
	{"TakeSessions", func(ctx context.Context, s *fixture) error { _, err := s.TakeSessions(ctx, "n", 10); return err }},
	{"TakeSession", func(ctx context.Context, s *fixture) error { _, err := s.TakeSession(ctx, "key"); return err }},
	{"TakeOverdueSessions", func(ctx context.Context, s *fixture) error {
		_, err := s.TakeOverdueSessions(ctx, time.Unix(2e9, 0), 10)
		return err
	}},
	{"CountSessions", func(ctx context.Context, s *fixture) error { _, err := s.CountSessions(ctx); return err }},
	{"CreateInvitation", func(ctx context.Context, s *fixture) error { return s.CreateInvitation(ctx, invitation("2"), 10) }},
	{"Invitation", func(ctx context.Context, s *fixture) error { _, err := s.Invitation(ctx, invited.ID); return err }},
	{"ListInvitations", func(ctx context.Context, s *fixture) error { _, err := s.ListInvitations(ctx, "", 10); return err }},
	{"DeleteInvitation", func(ctx context.Context, s *fixture) error { return s.DeleteInvitation(ctx, invited.ID) }},
	{"ForgetInvitations", func(ctx context.Context, s *fixture) error { return s.ForgetInvitations(ctx, invited.Until) }},
	{"RegisterInvited", func(ctx context.Context, s *fixture) error {
		contact := &store.RosterUpdate{Owner: juliet, Expect: s.version, Put: &store.RosterItem{JID: paris, Subscription: store.Both}}
		return s.RegisterInvited(ctx, store.Account{JID: paris, Credentials: credentials(1)}, invited.ID, time.Unix(1e9, 0), contact)
	}},
	{"LoginState", func(ctx context.Context, s *fixture) error { _, err := s.LoginState(ctx, juliet); return err }},
}

// newFixture opens an empty store and fills it.
func newFixture(t *testing.T, l store.Location, o store.Options) *fixture {
	t.Helper()
	s := &fixture{Store: open(t, l, o)}
	create(t, s, juliet, nurse, gone)
	ok(t, "DeleteAccount", s.DeleteAccount(t.Context(), gone, store.AnyEvent))
	setCredentials(t, s, juliet, only(store.SHA1, credentials(1)))
	put(t, s, nurse, store.RosterItem{JID: juliet, Subscription: store.Both})
	put(t, s, juliet, store.RosterItem{JID: romeo, Subscription: store.Both})
	s.version = put(t, s, juliet, store.RosterItem{JID: nurse, Subscription: store.Both})
	request := &store.Request{From: nobody, Stanza: []byte("r"), Received: time.Unix(1e9, 0)}
	_, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: juliet, Expect: s.version, AddRequest: request}})
	ok(t, "ApplyRoster", err)
	ok(t, "AppendOffline", s.AppendOffline(t.Context(), juliet, store.NewMessage{From: romeo, Stanza: []byte("1")}, store.OfflineQuota{}))
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, "k", "a", []byte("1")))
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, store.BlockedKind, "spam.example", []byte{}))
	ok(t, "SetLastActivity", s.SetLastActivity(t.Context(), []store.LastActivity{{Owner: juliet, At: time.Unix(1e9, 0)}}))
	ok(t, "PutBlock", s.PutBlock(t.Context(), store.Block{Target: blocked, Until: time.Unix(1e9, 0)}, 10))
	ok(t, "PutSessions", s.PutSessions(t.Context(), []store.SavedSession{{Node: "n", Key: "key", Until: time.Unix(1e9, 0), Data: []byte("1")}}))
	ok(t, "CreateInvitation", s.CreateInvitation(t.Context(), invited, 10))
	messages, _, err := s.Offline(t.Context(), juliet, 0, 1<<20)
	ok(t, "Offline", err)
	s.messages = idsOf(messages)
	a, err := s.Account(t.Context(), juliet)
	ok(t, "Account", err)
	s.event = a.Event
	return s
}

// blocked is the target of a block of a fixture, which has ended.
const blocked = "192.0.2.0/24"

// gone is an account that a fixture had.
var gone = jid.MustParse("gone@example.com")

// snapshot returns all that a store has, as text.
func snapshot(t *testing.T, s store.Store) string {
	t.Helper()
	ctx := t.Context()
	var b strings.Builder
	add := func(value any, err error) {
		t.Helper()
		ok(t, "snapshot", err)
		fmt.Fprintf(&b, "%+v\n", value)
	}
	ok(t, "EachAccount", store.EachAccount(ctx, s, "", func(a store.Account) error {
		add(a.Used, nil)
		a, err := s.Account(ctx, a.JID)
		add(a, err)
		state, err := s.LoginState(ctx, a.JID)
		state.Roster.Items = sorted(state.Roster.Items)
		add(state, err)
		requests, err := s.SubscriptionRequests(ctx, a.JID)
		add(requests, err)
		messages, _, err := s.Offline(ctx, a.JID, 0, 1<<20)
		add(messages, err)
		keys, err := s.BlobKeys(ctx, a.JID, "k")
		ok(t, "BlobKeys", err)
		for _, key := range keys {
			value, err := s.Blob(ctx, a.JID, "k", key)
			add(key+"="+string(value), err)
		}
		last, err := s.LastActivity(ctx, a.JID)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		add(last, err)
		return nil
	}))
	blocks, err := s.ListBlocks(ctx)
	add(blocks, err)
	invitations, err := s.ListInvitations(ctx, "", 100)
	add(invitations, err)
	sessions, err := s.CountSessions(ctx)
	add(sessions, err)
	events, err := s.AccountEvents(ctx, 0, 100)
	add(events, err)
	return b.String()
}

// testOperations: the table has every method of the interface, and what it says of them
// is true.
func testOperations(t *testing.T, locate func(t testing.TB) store.Location) {
	var names, want []string
	for _, op := range operations {
		names = append(names, op.name)
		t.Run(op.name, func(t *testing.T) {
			var ops []store.Op
			l := locate(t)
			s := newFixture(t, l, store.Options{Intercept: func(_ context.Context, op store.Op) (func(), error) {
				ops = append(ops, op)
				return func() {}, nil
			}})
			reader := open(t, l, store.Options{})
			before := snapshot(t, reader)
			ops = nil
			ok(t, op.name, op.call(t.Context(), s))
			if len(ops) == 0 || ops[0].Name != op.name {
				t.Fatalf("intercepted: %+v, want %s", ops, op.name)
			}
			if changed := snapshot(t, reader) != before; changed != ops[0].Writes {
				t.Errorf("it changes the store: %v; intercepted as a write: %v", changed, ops[0].Writes)
			}
		})
	}
	for m := range reflect.TypeFor[store.Store]().Methods() {
		if m.Name != "Close" {
			want = append(want, m.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the table has the methods\n%q, the interface has\n%q", names, want)
	}
}

// allFail calls all operations of s, and fails unless each returns the error and leaves
// what reader reads unchanged. With described, the error must also say what was being done.
func allFail(ctx context.Context, t *testing.T, s *fixture, reader store.Store, want error, described bool) {
	t.Helper()
	before := snapshot(t, reader)
	for _, op := range operations {
		err := op.call(ctx, s)
		wants(t, op.name, err, want)
		if described && (err == nil || !strings.HasPrefix(err.Error(), "store: ") || err.Error() == "store: "+want.Error()) {
			t.Errorf("%s: the error %q does not say what was being done", op.name, err)
		}
		if snapshot(t, reader) != before {
			t.Fatalf("%s has failed and has changed the store", op.name)
		}
	}
}

// testContext: no operation is done, and no store opened, when the context has ended.
func testContext(t *testing.T, l store.Location) {
	s := newFixture(t, l, store.Options{})
	allFail(canceled(t), t, s, s, context.Canceled, true)
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	allFail(late, t, s, s, context.DeadlineExceeded, true)
	other, err := l.Open(canceled(t), store.Options{})
	wants(t, "Open", err, context.Canceled)
	if other != nil {
		t.Error("Open returns a store and an error")
	}
}

// testClosed: after Close, every operation returns ErrClosed, and a running Watch ends.
func testClosed(t *testing.T, l store.Location) {
	s := newFixture(t, l, store.Options{})
	reader := open(t, l, store.Options{})
	watched, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Watch(t.Context(), 0, func([]store.AccountEvent) error {
			close(watched)
			return nil
		})
	}()
	<-watched
	ok(t, "Close", s.Close())
	wants(t, "Watch of a store that is closed", <-ended, store.ErrClosed)
	ok(t, "second Close", s.Close())
	allFail(t.Context(), t, s, reader, store.ErrClosed, true)
}

// testIntercept: every operation calls Options.Intercept once, with its own name, and
// does nothing if that returns an error.
func testIntercept(t *testing.T, l store.Location) {
	stopped := errors.New("stopped")
	var ops []store.Op
	var fault error
	ended := 0
	s := newFixture(t, l, store.Options{Intercept: func(_ context.Context, op store.Op) (func(), error) {
		ops = append(ops, op)
		return func() { ended++ }, fault
	}})
	reader := open(t, l, store.Options{})
	fault, ops, ended = stopped, nil, 0
	allFail(t.Context(), t, s, reader, stopped, false)
	if len(ops) != len(operations) || ended != 0 {
		t.Fatalf("%d operations were intercepted %d times; %d that failed ended", len(operations), len(ops), ended)
	}
	for i, op := range operations {
		if ops[i].Name != op.name {
			t.Errorf("%s was intercepted as %+v", op.name, ops[i])
		}
	}
	fault, ops = nil, nil
	create(t, s, nobody)
	_, err := s.Account(t.Context(), nobody)
	ok(t, "Account", err)
	if len(ops) != 2 || !ops[0].Writes || ops[1].Writes || ended != 2 {
		t.Errorf("%+v, %d ended; want a write and a read that have", ops, ended)
	}
	// Watch is one operation, however often it looks for events.
	ops = nil
	wants(t, "Watch", s.Watch(t.Context(), 0, func([]store.AccountEvent) error { return stopped }), stopped)
	if len(ops) != 1 {
		t.Errorf("Watch was intercepted as %+v", ops)
	}
}
