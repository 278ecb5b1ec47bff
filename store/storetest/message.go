package storetest

import (
	"bytes"
	"fmt"
	"slices"
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
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, idsOf(msgs)))
	count := func(owner jid.JID, want int) {
		t.Helper()
		n, err := s.CountOffline(ctx, owner)
		ok(t, "CountOffline", err)
		if n != want {
			t.Errorf("%d messages of %v, want %d", n, owner, want)
		}
	}
	count(juliet, n-1)
	// Any of them may be deleted, also with some that do not exist, or belong to others.
	msgs, _, err = s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	others, _, err := s.Offline(ctx, nurse, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, []int64{msgs[30].ID, 1 << 40, msgs[3].ID, others[0].ID, -1, msgs[30].ID}))
	count(juliet, n-3)
	ids := idsOf(msgs)
	left, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	if want := slices.Concat(ids[:3], ids[4:30], ids[31:]); !slices.Equal(idsOf(left), want) {
		t.Errorf("the IDs %v are left, want %v", idsOf(left), want)
	}
	ok(t, "DeleteOffline of none", s.DeleteOffline(ctx, juliet, nil))
	count(juliet, n-3)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, ids))
	count(juliet, 0)
	count(nurse, n)
	// An ID is never reused.
	ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, store.NewMessage{From: romeo, Stanza: []byte("new"), Received: at}, store.OfflineQuota{Messages: 1000}))
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, ids))
	count(juliet, 1)
}

// idsOf returns the IDs of messages.
func idsOf(messages []store.OfflineMessage) []int64 {
	ids := make([]int64, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return ids
}

// testAppendAll: several messages are stored in order; those that exceed a quota are refused,
// and only those.
func testAppendAll(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	put(t, s, juliet, store.RosterItem{JID: nurse, Subscription: store.Both})
	var all []store.NewMessage
	for i, from := range []jid.JID{romeo, nurse, romeo, nurse, paris, nurse} {
		all = append(all, store.NewMessage{From: from, Stanza: fmt.Appendf(nil, "%d", i), Received: time.Unix(1e9+int64(i), 0)})
	}
	stored, err := s.AppendOfflineAll(ctx, juliet, all, store.OfflineQuota{Messages: 4, SenderMessages: 2})
	ok(t, "AppendOfflineAll", err)
	messages, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	if len(messages) != 4 || len(stored) != 6 {
		t.Fatalf("%d messages are stored, with %d results", len(messages), len(stored))
	}
	for i, m := range messages {
		if string(m.Stanza) != fmt.Sprint(i) || stored[i].ID != m.ID || stored[i].Err != nil || !m.Received.Equal(all[i].Received) {
			t.Errorf("message %d is %+v, and its result %+v", i, m, stored[i])
		}
	}
	wants(t, "the fifth", stored[4].Err, store.ErrQuota)
	wants(t, "the sixth", stored[5].Err, store.ErrContactQuota)
	if stored[4].ID != 0 || stored[5].ID != 0 {
		t.Errorf("messages that were refused have IDs: %+v", stored)
	}
	stored, err = s.AppendOfflineAll(ctx, nobody, all[:1], store.OfflineQuota{})
	ok(t, "AppendOfflineAll without an account", err)
	wants(t, "without an account", stored[0].Err, store.ErrNotFound)
	// Some are replaced, of which one is not there, and another one is not the account's. The
	// mailbox is full, which matters to others only.
	ok(t, "AppendOffline", s.AppendOffline(ctx, nurse, store.NewMessage{From: romeo, Stanza: []byte("other")}, store.OfflineQuota{}))
	others, _, err := s.Offline(ctx, nurse, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, store.BlockedKind, paris.String(), []byte{}))
	text := func(from jid.JID, text string, replaces int64) store.NewMessage {
		return store.NewMessage{From: from, Stanza: []byte(text), Received: time.Unix(1e9, 0), Replaces: replaces}
	}
	stored, err = s.AppendOfflineAll(ctx, juliet, []store.NewMessage{
		text(romeo, "refused", 0), text(romeo, "0 again", messages[0].ID), text(paris, "blocked", messages[1].ID), text(nurse, "more", messages[1].ID),
		text(romeo, "2 again", messages[2].ID), text(nurse, "new", others[0].ID),
	}, store.OfflineQuota{Messages: 4})
	ok(t, "AppendOfflineAll", err)
	wants(t, "a message to a full mailbox", stored[0].Err, store.ErrQuota)
	wants(t, "a message of a blocked sender", stored[2].Err, store.ErrBlocked)
	messages, _, err = s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	var texts []string
	for _, m := range messages {
		texts = append(texts, string(m.Stanza))
	}
	if want := []string{"3", "0 again", "more", "2 again", "new"}; !slices.Equal(texts, want) {
		t.Errorf("the messages are %q, want %q", texts, want)
	}
	if left, _, err := s.Offline(ctx, nurse, 0, 1<<20); len(left) != 1 || err != nil {
		t.Errorf("%d messages of another account are left, %v", len(left), err)
	}
	// An error of the caller: none is stored.
	if _, err = s.AppendOfflineAll(ctx, juliet, []store.NewMessage{{From: romeo, Stanza: []byte("a")}, {}}, store.OfflineQuota{}); err == nil {
		t.Error("a message without a sender was stored")
	}
	if n, err := s.CountOffline(ctx, juliet); n != 5 || err != nil {
		t.Errorf("%d messages after an error, want 5, %v", n, err)
	}
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
