package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
		ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, lent, at.Add(time.Duration(i)*time.Second), 1000))
		ok(t, "AppendOffline", s.AppendOffline(ctx, nurse, []byte("other"), at, 1000))
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
	// One at least, however small the limit.
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
	// An ID never comes back: deleting up to an old one deletes nothing new.
	ok(t, "AppendOffline", s.AppendOffline(ctx, juliet, []byte("new"), at, 1000))
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, after))
	count(juliet, 1)
}

func testOfflineQuota(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	add := func(owner jid.JID, want error) {
		t.Helper()
		wants(t, "AppendOffline", s.AppendOffline(ctx, owner, []byte("x"), time.Now(), 3), want)
	}
	for range 3 {
		add(juliet, nil)
	}
	add(juliet, store.ErrQuota)
	add(nurse, nil)
	msgs, _, err := s.Offline(ctx, juliet, 0, 1<<20)
	ok(t, "Offline", err)
	ok(t, "DeleteOffline", s.DeleteOffline(ctx, juliet, msgs[1].ID))
	add(juliet, nil)
	add(juliet, nil)
	add(juliet, store.ErrQuota)
	wants(t, "AppendOffline without a quota", s.AppendOffline(ctx, nurse, []byte("x"), time.Now(), 0), store.ErrQuota)
}

func testBlobs(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	f := func(owner jid.JID, kind, key string, want []byte) {
		t.Helper()
		got, err := s.Blob(ctx, owner, kind, key)
		ok(t, "Blob", err)
		if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%s %q of %v is %q, want %q", kind, key, owner, got, want)
		}
	}
	big := bytes.Repeat([]byte{0, 1, 0xff}, 100_000)
	ok(t, "PutBlob", putBlob(t, s, juliet, "vcard", "", big))
	ok(t, "PutBlob", putBlob(t, s, juliet, "private", "a b", []byte("1")))
	ok(t, "PutBlob", putBlob(t, s, juliet, "private", "a c", []byte("2")))
	f(juliet, "vcard", "", big)
	f(juliet, "private", "a b", []byte("1"))
	f(juliet, "private", "", nil)
	f(nurse, "vcard", "", nil)
	ok(t, "PutBlob", putBlob(t, s, juliet, "private", "a b", []byte("3")))
	ok(t, "PutBlob of nothing", putBlob(t, s, juliet, "private", "a c", nil))
	ok(t, "PutBlob of nothing again", putBlob(t, s, juliet, "private", "a c", nil))
	ok(t, "PutBlob, empty", putBlob(t, s, juliet, "vcard", "", []byte{}))
	f(juliet, "private", "a b", []byte("3"))
	f(juliet, "private", "a c", nil)
	f(juliet, "vcard", "", []byte{})
}

// putBlob sets one value without a quota.
func putBlob(t *testing.T, s store.Store, owner jid.JID, kind, key string, value []byte) error {
	return s.PutBlobs(t.Context(), owner, kind, []store.BlobValue{{Key: key, Value: value}}, store.BlobQuota{})
}

// testBlobQuota: a set that goes past the quota changes nothing, whatever else
// is in it; one that makes no more of it is always allowed.
func testBlobQuota(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	quota := store.BlobQuota{Values: 3, Bytes: 100}
	put := func(want error, quota store.BlobQuota, pairs ...string) {
		t.Helper()
		var values []store.BlobValue
		for i := 0; i < len(pairs); i += 2 {
			v := store.BlobValue{Key: pairs[i]}
			if pairs[i+1] != "" {
				v.Value = []byte(pairs[i+1])
			}
			values = append(values, v)
		}
		wants(t, fmt.Sprint("PutBlobs ", pairs), s.PutBlobs(ctx, juliet, "k", values, quota), want)
	}
	holds := func(want string) {
		t.Helper()
		got := ""
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			value, err := s.Blob(ctx, juliet, "k", key)
			ok(t, "Blob", err)
			if value != nil {
				got += key + "=" + string(value[:1]) + " "
			}
		}
		if got != want {
			t.Errorf("there is %q, want %q", got, want)
		}
	}
	ok(t, "PutBlobs of another kind", putBlob(t, s, juliet, "other", "x", make([]byte, 200)))
	ok(t, "PutBlobs of another account", putBlob(t, s, nurse, "k", "x", make([]byte, 200)))
	put(nil, quota, "a", "1", "b", "1")
	put(store.ErrQuota, quota, "a", "2", "c", "2", "d", "2") // all or nothing
	holds("a=1 b=1 ")
	put(nil, quota, "a", "", "c", "3", "d", "3") // one goes, two come
	holds("b=1 c=3 d=3 ")
	put(store.ErrQuota, quota, "b", strings.Repeat("4", 99))
	holds("b=1 c=3 d=3 ")
	put(nil, quota, "b", strings.Repeat("5", 98))
	holds("b=5 c=3 d=3 ")
	// More than a smaller quota allows is there: it may become less, not more.
	less := store.BlobQuota{Values: 2, Bytes: 50}
	put(store.ErrQuota, less, "e", "6")
	put(nil, less, "b", "7")
	put(nil, less, "c", "7", "d", "")
	holds("b=7 c=7 ")
}

// testBlobRace: those that set values at once get no more than the quota.
func testBlobRace(t *testing.T, s store.Store) {
	create(t, s, juliet)
	const callers, each, quota = 16, 10, 25
	var wg sync.WaitGroup
	var kept atomic.Int64
	for i := range callers {
		wg.Go(func() {
			for k := range each {
				values := []store.BlobValue{{Key: fmt.Sprintf("%d-%d", i, k), Value: []byte("x")}}
				switch err := s.PutBlobs(t.Context(), juliet, "k", values, store.BlobQuota{Values: quota}); {
				case err == nil:
					kept.Add(1)
				case !errors.Is(err, store.ErrQuota):
					t.Errorf("PutBlobs: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if kept.Load() != quota {
		t.Errorf("%d values were kept, want %d", kept.Load(), quota)
	}
}

func testLast(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	_, err := s.Last(ctx, juliet)
	wants(t, "Last before the first", err, store.ErrNotFound)
	at := time.Date(2025, 6, 7, 8, 9, 10, 0, time.UTC)
	ok(t, "SetLast", s.SetLast(ctx, []store.Last{{Owner: juliet, At: at}, {Owner: nobody, At: at}, {Owner: nurse, At: at, Status: []byte("Bye")}}))
	ok(t, "SetLast", s.SetLast(ctx, []store.Last{{Owner: juliet, At: at.Add(time.Minute), Status: []byte("Heading home")}}))
	ok(t, "SetLast of nothing", s.SetLast(ctx, nil))
	f := func(owner jid.JID, at time.Time, status string) {
		t.Helper()
		l, err := s.Last(ctx, owner)
		ok(t, "Last", err)
		if l.Owner != owner || !l.At.Equal(at) || string(l.Status) != status {
			t.Errorf("Last = %+v", l)
		}
	}
	f(juliet, at.Add(time.Minute), "Heading home")
	f(nurse, at, "Bye")
}

// testText: what looks like something else to a database is text all the same.
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
		ok(t, "PutBlob", putBlob(t, s, owner, text, text, []byte(text)))
		b, err := s.Blob(ctx, owner, text, text)
		ok(t, "Blob", err)
		if string(b) != text {
			t.Errorf("%q is %q", text, b)
		}
		ok(t, "DeleteAccount", s.DeleteAccount(ctx, owner))
	}
}
