package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

func testOffline(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	at := time.Date(2025, 6, 7, 8, 9, 10, 123_000_000, time.UTC)
	stanza := func(i int) []byte {
		return fmt.Appendf(nil, "<message id='%d'><body>\x00\xff%s</body></message>", i, bytes.Repeat([]byte("x"), 100))
	}
	const n = 50
	lent := make([]byte, 0, 200)
	for i := range n {
		lent = append(lent[:0], stanza(i)...)
		ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: lent, Received: at.Add(time.Duration(i) * time.Second)}, store.OfflineQuota{Messages: 1000}))
		ok(t, "AppendOffline", s.AppendOffline(ctx, nurse, store.NewMessage{From: romeo, Stanza: []byte("other"), Received: at}, store.OfflineQuota{Messages: 1000}))
	}
	size := len(stanza(10))
	var after int64
	got := 0
	for {
		msgs, more, err := s.Offline(ctx, juliet, after, 7*size+size/2)
		ok(t, "Offline", err)
		if more && len(msgs) != 7 {
			t.Fatalf("%d messages at once, want 7", len(msgs))
		}
		for _, m := range msgs {
			if m.ID <= after || !bytes.Equal(m.Stanza, stanza(got)) || !m.Received.Equal(at.Add(time.Duration(got)*time.Second)) {
				t.Fatalf("message %d is %+v", got, m)
			}
			after = m.ID
			got++
		}
		if !more {
			break
		}
	}
	if got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
	// At least one, however small the limit.
	msgs, more, err := s.Offline(ctx, juliet, 0, 0)
	ok(t, "Offline", err)
	if len(msgs) != 1 || !more {
		t.Fatalf("%d messages, more = %v", len(msgs), more)
	}
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, msgs[0].ID))
	count := func(owner jid.JID, want int) {
		t.Helper()
		n, err := s.CountOffline(ctx, owner)
		ok(t, "CountOffline", err)
		if n != want {
			t.Errorf("%d messages of %v, want %d", n, owner, want)
		}
	}
	count(juliet, n-1)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, after))
	count(juliet, 0)
	count(nurse, n)
	// An ID is never reused: deleting up to an old one deletes no new message.
	ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("new"), Received: at}, store.OfflineQuota{Messages: 1000}))
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, after))
	count(juliet, 1)
}

func testLast(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	_, err := s.LastActivity(ctx, juliet)
	wants(t, "LastActivity before the first", err, store.ErrNotFound)
	at := time.Date(2025, 6, 7, 8, 9, 10, 0, time.UTC)
	ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: at}, {Owner: nobody, At: at}, {Owner: nurse, At: at, Status: []byte("Bye")}}))
	ok(t, "SetLastActivity", s.SetLastActivity(ctx, []store.LastActivity{{Owner: juliet, At: at.Add(time.Minute), Status: []byte("Heading home")}}))
	ok(t, "SetLastActivity of nothing", s.SetLastActivity(ctx, nil))
	f := func(owner jid.JID, at time.Time, status string) {
		t.Helper()
		l, err := s.LastActivity(ctx, owner)
		ok(t, "LastActivity", err)
		if l.Owner != owner || !l.At.Equal(at) || string(l.Status) != status {
			t.Errorf("Last = %+v", l)
		}
	}
	f(juliet, at.Add(time.Minute), "Heading home")
	f(nurse, at, "Bye")
}

// testText: text that looks like something else to a database stays text.
func testText(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, text := range []string{"null", "0", "1e3", "00", "a--", "$1", "?1", "%s", "\\", "\u00fc\u4e16\U0001F600"} {
		owner, err := jid.New("x"+text, "example.com", "")
		if err != nil {
			owner = jid.MustParse("x@example.com")
		}
		create(t, s, owner)
		put(t, s, owner, store.RosterItem{JID: romeo, Name: text, Groups: []string{text, text + "\n"}})
		r, err := s.Roster(ctx, owner)
		ok(t, "Roster", err)
		if r.Items[0].Name != text || len(r.Items[0].Groups) != 2 {
			t.Errorf("%q is %+v", text, r.Items[0])
		}
		ok(t, "UpdateBlobs", putBlob(t, s, owner, text, text, []byte(text)))
		b, err := s.Blob(ctx, owner, text, text)
		ok(t, "Blob", err)
		if string(b) != text {
			t.Errorf("%q is %q", text, b)
		}
		ok(t, "DeleteAccount", s.DeleteAccount(ctx, owner, store.AnyEvent))
	}
}
