package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// Copy tests that a store of one kind is copied to another one and back. from and to return
// locations of new, empty stores.
func Copy(t *testing.T, from, to func(t testing.TB) store.Location) {
	for _, table := range store.Tables { // several pages of each
		page := table.Page
		table.Page = 2
		t.Cleanup(func() { table.Page = page })
	}
	first, second, third := from(t), to(t), from(t)
	fillForCopy(t, first)
	want := everything(t, first)
	for i, rows := range want {
		if len(rows) == 0 {
			t.Fatalf("%s is empty", store.Tables[i].Name)
		}
	}
	copyStore(t, first, second)
	same := func(l store.Location) {
		t.Helper()
		got := everything(t, l)
		for i, table := range store.Tables {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s differs:\n%v\n%v", table.Name, got[i], want[i])
			}
		}
	}
	same(second)
	copyStore(t, second, third)
	same(third)
	a, b := open(t, first, store.Options{}), open(t, second, store.Options{})
	if got, want := snapshot(t, b), snapshot(t, a); got != want {
		t.Errorf("the copy has\n%s\nwant\n%s", got, want)
	}
	for _, s := range []store.Store{a, b, open(t, third, store.Options{})} {
		useCopy(t, s)
	}
	t.Run("Interrupted", func(t *testing.T) { copyInterrupted(t, first, to(t)) })
	t.Run("Refused", func(t *testing.T) { copyRefused(t, first, to(t)) })
}

// copier opens a store for copying.
func copier(t *testing.T, l store.Location) store.Copier {
	t.Helper()
	return open(t, l, store.Options{Use: store.Copying}).(store.Copier)
}

func noReport(*store.Table, bool, int64) {}

func copyStore(t *testing.T, from, to store.Location) {
	t.Helper()
	a, b := copier(t, from), copier(t, to)
	counts := make(map[string][2]int64)
	err := store.Copy(t.Context(), a, b, "the source", func(table *store.Table, verifying bool, n int64) {
		c := counts[table.Name]
		if verifying {
			c[1] += n
		} else {
			c[0] += n
		}
		counts[table.Name] = c
	})
	ok(t, "Copy", err)
	for _, table := range store.Tables {
		n, err := b.CountRows(t.Context(), table)
		if ok(t, "CountRows", err); counts[table.Name] != [2]int64{n, n} {
			t.Errorf("%s: %v rows were reported, want %d", table.Name, counts[table.Name], n)
		}
	}
	ok(t, "Close", errors.Join(a.Close(), b.Close()))
}

// everything returns the rows of all tables.
func everything(t *testing.T, l store.Location) (all [][]store.Row) {
	t.Helper()
	s := copier(t, l)
	for _, table := range store.Tables {
		var rows []store.Row
		for after := store.Row(nil); ; after = rows[len(rows)-1] {
			page, err := s.ReadRows(t.Context(), table, after)
			if ok(t, "ReadRows", err); len(page) == 0 {
				break
			}
			rows = append(rows, page...)
		}
		all = append(all, rows)
	}
	ok(t, "Close", s.Close())
	return all
}

// fillForCopy fills a store with something of everything, the traces of deletions included.
func fillForCopy(t *testing.T, l store.Location) {
	s := newFixture(t, l, store.Options{})
	create(t, s, paris, romeo, nobody)
	ok(t, "SetDisabled", s.SetDisabled(t.Context(), paris, true))
	v := put(t, s, juliet, store.RosterItem{JID: jid.MustParse("conference.example.net/é"), Name: "Réunion", Groups: []string{"a", "b"}})
	_, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: juliet, Expect: v, Remove: nurse}})
	ok(t, "ApplyRoster", err)
	r, err := s.Roster(t.Context(), nurse)
	ok(t, "Roster", err)
	for i := range 3 {
		request := &store.Request{From: jid.MustParse(fmt.Sprintf("r%d@example.com", 3-i)), Stanza: []byte{byte(i)}, Received: time.Unix(1e9, 0)}
		_, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: nurse, Expect: r.Version, AddRequest: request}})
		ok(t, "ApplyRoster", err)
	}
	put(t, s, romeo, store.RosterItem{JID: nobody, Subscription: store.Both})
	put(t, s, nobody, store.RosterItem{JID: romeo, Subscription: store.Both})
	ok(t, "DeleteAccount", s.DeleteAccount(t.Context(), nobody, store.AnyEvent))
	var ids []int64
	for i := range 25 {
		m := store.NewMessage{From: []jid.JID{romeo, nurse}[i%2], Stanza: make([]byte, i), Received: time.UnixMilli(int64(1e12 + i))}
		stored, err := s.AppendOfflineAll(t.Context(), paris, []store.NewMessage{m}, store.OfflineQuota{})
		ok(t, "AppendOfflineAll", err)
		ids = append(ids, stored[0].ID)
	}
	// The newest message of all is deleted: its ID must not be used again.
	ok(t, "DeleteOffline", s.DeleteOffline(t.Context(), paris, []int64{ids[3], ids[24]}))
	for i := range 3 {
		ok(t, "UpdateBlobs", putBlob(t, s, nurse, "urn:x", fmt.Sprint(i), []byte{0, byte(i)}))
	}
	ok(t, "PutBlock", s.PutBlock(t.Context(), store.Block{Target: "paris@example.com", Reason: "spam", Actor: "root", Created: time.Unix(1e9, 0)}, 10))
	ok(t, "PutSessions", s.PutSessions(t.Context(), []store.SavedSession{saved("b", "2"), saved("", "3")}))
	ok(t, "SetLastActivity", s.SetLastActivity(t.Context(), []store.LastActivity{{Owner: paris, At: time.Unix(1e9, 0), Status: []byte("away")}}))
	ok(t, "NoteUse", s.NoteUse(t.Context(), []store.AccountUse{{Owner: paris, Day: 20000}}))
	ok(t, "Close", s.Close())
}

// useCopy uses a store that fillForCopy has filled, or a copy of it: numbers of new rows are
// larger than those of old ones, and messages are counted.
func useCopy(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	before, _, err := s.Offline(ctx, paris, 0, 1<<20)
	ok(t, "Offline", err)
	last := before[len(before)-1].ID
	// 23 messages are stored, 273 bytes, 12 of them, 132 bytes, from romeo.
	m := []store.NewMessage{{From: romeo, Stanza: []byte("new")}}
	stored, err := s.AppendOfflineAll(ctx, paris, m, store.OfflineQuota{Messages: 24, Bytes: 276, SenderMessages: 13, SenderBytes: 135})
	ok(t, "AppendOfflineAll", err)
	if stored[0].ID <= last+1 {
		t.Errorf("a new message has the ID %d, and %d was used: %v", stored[0].ID, last+1, stored[0].Err)
	}
	for _, quota := range []store.OfflineQuota{{Messages: 24}, {Bytes: 278}, {SenderMessages: 13}, {SenderBytes: 137}} {
		stored, err := s.AppendOfflineAll(ctx, paris, m, quota)
		if ok(t, "AppendOfflineAll", err); !errors.Is(stored[0].Err, store.ErrQuota) {
			t.Errorf("%+v: %+v", quota, stored)
		}
	}
	event, err := s.LastAccountEvent(ctx)
	ok(t, "LastAccountEvent", err)
	create(t, s, nobody)
	a, err := s.Account(ctx, nobody)
	if ok(t, "Account", err); a.Generation <= event || a.Event != a.Generation {
		t.Errorf("the generation of a new account is %d, its event %d, the last event was %d", a.Generation, a.Event, event)
	}
	ok(t, "PutSessions", s.PutSessions(ctx, []store.SavedSession{saved("", "last")}))
	units, err := s.TakeSessions(ctx, "", 100)
	if ok(t, "TakeSessions", err); len(units) != 2 || string(units[1]) != "last" {
		t.Errorf("took %q", units)
	}
	r, err := s.Roster(ctx, nurse)
	ok(t, "Roster", err)
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: nurse, Expect: r.Version, AddRequest: &store.Request{From: nobody, Stanza: []byte("x"), Received: time.Unix(1e9, 0)}}})
	ok(t, "ApplyRoster", err)
	requests, err := s.SubscriptionRequests(ctx, nurse)
	if ok(t, "SubscriptionRequests", err); len(requests) != 4 || requests[3].From != nobody {
		t.Errorf("%+v", requests)
	}
}

var errInterrupted = errors.New("interrupted")

// interrupted is a copy that is interrupted after some writes, as if the process were killed:
// each of them is a transaction.
type interrupted struct {
	store.Copier
	left int
}

func (c *interrupted) write(f func() error) error {
	if c.left == 0 {
		return errInterrupted
	}
	c.left--
	return f()
}

func (c *interrupted) BeginCopy(ctx context.Context, source string) error {
	return c.write(func() error { return c.Copier.BeginCopy(ctx, source) })
}

func (c *interrupted) WriteRows(ctx context.Context, t *store.Table, rows []store.Row) error {
	return c.write(func() error { return c.Copier.WriteRows(ctx, t, rows) })
}

func (c *interrupted) DeriveRows(ctx context.Context, last int64) error {
	return c.write(func() error { return c.Copier.DeriveRows(ctx, last) })
}

func (c *interrupted) EndCopy(ctx context.Context) error {
	return c.write(func() error { return c.Copier.EndCopy(ctx) })
}

// copyInterrupted: a copy that is interrupted after every second write continues, each row is written
// once, and until it is complete, no one else can use it, and no other copy continues it.
func copyInterrupted(t *testing.T, from, to store.Location) {
	a, b := copier(t, from), copier(t, to)
	rounds := 0
	for err := errInterrupted; err != nil; rounds++ {
		// Two writes at a time: the last two are always repeated together.
		if err = store.Copy(t.Context(), a, &interrupted{b, 2}, "the source", noReport); err != nil && !errors.Is(err, errInterrupted) {
			t.Fatal(err)
		}
		if rounds != 5 {
			continue
		}
		wants(t, "a copy of another source", store.Copy(t.Context(), a, b, "another", noReport), store.ErrNotEmpty)
		if s, err := to.Open(t.Context(), store.Options{}); !errors.Is(err, store.ErrUnfinished) {
			t.Errorf("an unfinished copy was opened: %v, %v", s, err)
		}
	}
	if rounds < 15 {
		t.Errorf("%d rounds", rounds)
	}
	ok(t, "Close", errors.Join(a.Close(), b.Close()))
	ok(t, "Close", open(t, to, store.Options{}).Close())
	if got, want := everything(t, to), everything(t, from); !reflect.DeepEqual(got, want) {
		t.Errorf("the copy has\n%v\nwant\n%v", got, want)
	}
}

// copyRefused: a store that has something is no target, and differences are noticed.
func copyRefused(t *testing.T, from, to store.Location) {
	s := open(t, to, store.Options{})
	ok(t, "PutBlock", s.PutBlock(t.Context(), store.Block{Target: "x"}, 1))
	a, b := copier(t, from), copier(t, to)
	wants(t, "a target with data", store.Copy(t.Context(), a, b, "the source", noReport), store.ErrNotEmpty)
	ok(t, "DeleteBlock", s.DeleteBlock(t.Context(), "x"))

	err := store.Copy(t.Context(), a, &interrupted{b, 10}, "the source", noReport)
	wants(t, "Copy", err, errInterrupted)
	other := open(t, from, store.Options{})
	_, err = other.SetCredentials(t.Context(), juliet, store.AnyEvent, credentials(9), false)
	ok(t, "SetCredentials", err)
	wants(t, "a source that has changed", store.Copy(t.Context(), a, b, "the source", noReport), store.ErrDifferent)
	ok(t, "DeleteAccount", other.DeleteAccount(t.Context(), juliet, store.AnyEvent))
	wants(t, "a source with fewer rows", store.Copy(t.Context(), a, b, "the source", noReport), store.ErrDifferent)
}
