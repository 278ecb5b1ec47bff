package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"roost/jid"
	"roost/store"
)

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
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, "vcard", "", big))
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, "private", "a b", []byte("1")))
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, "private", "a c", []byte("2")))
	f(juliet, "vcard", "", big)
	f(juliet, "private", "a b", []byte("1"))
	f(juliet, "private", "", nil)
	f(nurse, "vcard", "", nil)
	ok(t, "UpdateBlobs", putBlob(t, s, juliet, "private", "a b", []byte("3")))
	ok(t, "UpdateBlobs of nothing", putBlob(t, s, juliet, "private", "a c", nil))
	ok(t, "UpdateBlobs of nothing again", putBlob(t, s, juliet, "private", "a c", nil))
	ok(t, "UpdateBlobs, empty", putBlob(t, s, juliet, "vcard", "", []byte{}))
	f(juliet, "private", "a b", []byte("3"))
	f(juliet, "private", "a c", nil)
	f(juliet, "vcard", "", []byte{})
}

// putBlob sets one value without a quota; nil deletes it.
func putBlob(t *testing.T, s store.Store, owner jid.JID, kind, key string, value []byte) error {
	return s.UpdateBlobs(t.Context(), store.BlobSet{Owner: owner, Kind: kind}, func(tx store.BlobTx) error {
		if value == nil {
			return tx.Delete(key)
		}
		return tx.Put(key, value)
	})
}

// setBlob sets a value, or deletes it if the text is empty.
func setBlob(tx store.BlobTx, key, text string) error {
	if text == "" {
		return tx.Delete(key)
	}
	return tx.Put(key, []byte(text))
}

// wantBlobs fails unless an account has exactly these values of a kind, each as
// key=value.
func wantBlobs(t *testing.T, s store.Store, owner jid.JID, kind string, want ...string) {
	t.Helper()
	keys, err := s.BlobKeys(t.Context(), owner, kind)
	ok(t, "BlobKeys", err)
	var got []string
	for _, key := range keys {
		value, err := s.Blob(t.Context(), owner, kind, key)
		ok(t, "Blob", err)
		got = append(got, key+"="+string(value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v has of %s: %q, want %q", owner, kind, got, want)
	}
}

// testBlobKeys: BlobKeys returns the keys of one account and one kind, in the order of their
// bytes, including the empty key.
func testBlobKeys(t *testing.T, s store.Store) {
	create(t, s, juliet, nurse)
	for _, key := range []string{"b", "\u00e4", "", "a b", "B", "a"} {
		ok(t, "put", putBlob(t, s, juliet, "k", key, []byte("x")))
	}
	ok(t, "put", putBlob(t, s, juliet, "l", "other kind", []byte("x")))
	ok(t, "put", putBlob(t, s, nurse, "k", "other account", []byte("x")))
	ok(t, "delete", putBlob(t, s, juliet, "k", "a", nil))
	wantBlobs(t, s, juliet, "k", "=x", "B=x", "a b=x", "b=x", "\u00e4=x")
	wantBlobs(t, s, juliet, "m")
	wantBlobs(t, s, nobody, "k")
	ok(t, "DeleteAccount", s.DeleteAccount(t.Context(), juliet, store.AnyEvent))
	wantBlobs(t, s, juliet, "k")
}

// testBlobUpdate: a transaction sees its own changes, and either all of them happen or none.
func testBlobUpdate(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	set := store.BlobSet{Owner: jid.MustParse("juliet@example.com/balcony"), Kind: "k"}
	ok(t, "put", putBlob(t, s, juliet, "k", "a", []byte("1")))
	ok(t, "put", putBlob(t, s, juliet, "l", "other kind", []byte("1")))
	ok(t, "put", putBlob(t, s, nurse, "k", "other account", []byte("1")))
	var ended store.BlobTx
	change := func(tx store.BlobTx) error {
		ended = tx
		lent := []byte("2")
		ok(t, "Put", tx.Put("b", lent))
		lent[0] = 'x'
		ok(t, "Put", tx.Put("a", nil)) // empty, not deleted
		ok(t, "Put", tx.Put("c", []byte("3")))
		ok(t, "Delete", tx.Delete("c"))
		ok(t, "Delete of nothing", tx.Delete("d"))
		keys, err := tx.Keys()
		ok(t, "Keys", err)
		if !slices.Equal(keys, []string{"a", "b"}) {
			t.Errorf("keys in the transaction: %q", keys)
		}
		for key, want := range map[string][]byte{"a": {}, "b": []byte("2"), "c": nil, "other kind": nil, "other account": nil} {
			got, err := tx.Get(key)
			ok(t, "Get", err)
			if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%q in the transaction is %q, want %q", key, got, want)
			}
			if len(got) > 0 {
				got[0] = 'y' // it is the caller's
			}
		}
		return nil
	}
	unchanged := func() {
		t.Helper()
		wantBlobs(t, s, juliet, "k", "a=1")
	}

	mine := errors.New("not today")
	err := s.UpdateBlobs(ctx, set, func(tx store.BlobTx) error {
		if err := change(tx); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", mine)
	})
	wants(t, "UpdateBlobs with a function that fails", err, mine)
	unchanged()

	func() {
		defer func() {
			if p := recover(); p != "a bug" {
				t.Errorf("the panic became %v", p)
			}
		}()
		_ = s.UpdateBlobs(ctx, set, func(tx store.BlobTx) error {
			ok(t, "change", change(tx))
			panic("a bug")
		})
	}()
	unchanged()

	exited := make(chan struct{})
	go func() { // as in a test that fails
		defer close(exited)
		_ = s.UpdateBlobs(ctx, set, func(tx store.BlobTx) error {
			_ = tx.Put("b", []byte("2"))
			exit()
			return nil
		})
	}()
	<-exited
	unchanged()

	wants(t, "UpdateBlobs with an ended context", s.UpdateBlobs(canceled(t), set, func(store.BlobTx) error {
		t.Error("the function is called after the context has ended")
		return nil
	}), context.Canceled)

	during, cancel := context.WithCancel(ctx)
	ok(t, "UpdateBlobs whose context ends meanwhile", s.UpdateBlobs(during, set, func(tx store.BlobTx) error {
		cancel()
		return change(tx)
	}))
	wantBlobs(t, s, juliet, "k", "a=", "b=2")
	wantBlobs(t, s, juliet, "l", "other kind=1")
	wantBlobs(t, s, nurse, "k", "other account=1")

	if ended.Put("z", nil) == nil || ended.Delete("b") == nil {
		t.Error("a transaction that has ended accepts changes")
	}
	if _, err := ended.Get("b"); err == nil {
		t.Error("a transaction that has ended can be read")
	}
	if _, err := ended.Keys(); err == nil {
		t.Error("a transaction that has ended can be listed")
	}
	wantBlobs(t, s, juliet, "k", "a=", "b=2")
}

// testBlobOwner: without an account of that name and generation there is no transaction.
func testBlobOwner(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, nurse, juliet) // juliet's generation is not the first
	a, err := s.Account(ctx, juliet)
	ok(t, "Account", err)
	never := func(store.BlobTx) error {
		t.Error("the function is called without its account")
		return nil
	}
	wants(t, "UpdateBlobs of nobody", s.UpdateBlobs(ctx, store.BlobSet{Owner: nobody, Kind: "k"}, never), store.ErrNotFound)
	wants(t, "UpdateBlobs of nothing", s.UpdateBlobs(ctx, store.BlobSet{}, never), store.ErrNotFound)
	for _, g := range []int64{a.Generation - 1, a.Generation + 1} {
		wants(t, "UpdateBlobs of another generation", s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Generation: g, Kind: "k"}, never), store.ErrNotFound)
	}
	ok(t, "UpdateBlobs", s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Generation: a.Generation, Kind: "k"}, func(tx store.BlobTx) error {
		return tx.Put("a", []byte("1"))
	}))
	wantBlobs(t, s, juliet, "k", "a=1")
}

// testBlobQuota: an update that exceeds the quota changes nothing, whatever else it does. An
// update that does not increase the usage is always allowed.
func testBlobQuota(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet, nurse)
	quota := store.BlobQuota{Values: 3, Bytes: 100}
	put := func(want error, quota store.BlobQuota, pairs ...string) {
		t.Helper()
		err := s.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: "k", Quota: quota}, func(tx store.BlobTx) error {
			for i := 0; i < len(pairs); i += 2 {
				ok(t, "set "+pairs[i], setBlob(tx, pairs[i], pairs[i+1]))
			}
			return nil
		})
		wants(t, fmt.Sprint("UpdateBlobs ", pairs), err, want)
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
			t.Errorf("stored: %q, want %q", got, want)
		}
	}
	ok(t, "UpdateBlobs of another kind", putBlob(t, s, juliet, "other", "x", make([]byte, 200)))
	ok(t, "UpdateBlobs of another account", putBlob(t, s, nurse, "k", "x", make([]byte, 200)))
	put(nil, quota, "a", "1", "b", "1")
	put(store.ErrQuota, quota, "a", "2", "c", "2", "d", "2") // all or nothing
	holds("a=1 b=1 ")
	put(nil, quota, "a", "", "c", "3", "d", "3") // one deleted, two added
	holds("b=1 c=3 d=3 ")
	put(store.ErrQuota, quota, "b", strings.Repeat("4", 99))
	holds("b=1 c=3 d=3 ")
	put(nil, quota, "b", strings.Repeat("5", 98))
	holds("b=5 c=3 d=3 ")
	// The set exceeds a smaller quota: it may shrink, but not grow.
	less := store.BlobQuota{Values: 2, Bytes: 50}
	put(store.ErrQuota, less, "e", "6")
	put(nil, less, "b", "7")
	put(nil, less, "c", "7", "d", "")
	holds("b=7 c=7 ")
}

// testBlobRace: transactions of the same set are serialized, also if the store was opened
// twice. None loses what another wrote, and together they do not exceed the quota.
func testBlobRace(t *testing.T, open func() store.Store) {
	const callers, each, quota = 8, 12, 25
	stores := []store.Store{open(), open()}
	create(t, stores[0], juliet)
	set := store.BlobSet{Owner: juliet, Kind: "k", Quota: store.BlobQuota{Values: quota + 1}}
	refusal := errors.New("refused")
	var wg sync.WaitGroup
	var stored atomic.Int64
	for i := range callers {
		s := stores[i%len(stores)]
		wg.Go(func() {
			for k := range each {
				err := s.UpdateBlobs(t.Context(), set, func(tx store.BlobTx) error {
					value, err := tx.Get("count")
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(string(value))
					if err := tx.Put("count", strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
						return err
					}
					if k%3 == 2 {
						return refusal // and nothing is counted
					}
					return tx.Put(fmt.Sprintf("%d-%d", i, k), []byte("x"))
				})
				switch {
				case err == nil:
					stored.Add(1)
				case !errors.Is(err, store.ErrQuota) && !errors.Is(err, refusal):
					t.Errorf("UpdateBlobs: %v", err)
				}
			}
		})
	}
	wg.Wait()
	count, err := stores[0].Blob(t.Context(), juliet, "k", "count")
	ok(t, "Blob", err)
	keys, err := stores[1].BlobKeys(t.Context(), juliet, "k")
	ok(t, "BlobKeys", err)
	if stored.Load() != quota || string(count) != strconv.Itoa(quota) || len(keys) != quota+1 {
		t.Errorf("%d updates succeeded, %s are counted, and there are %d values; want %d, %d and %d", stored.Load(), count, len(keys), quota, quota, quota+1)
	}
}
