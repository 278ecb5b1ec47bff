// Package storetest tests implementations of store.Store.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"roost/jid"
	"roost/store"
)

// Run tests a kind of store. locate returns the location of a new, empty store, which may be
// opened more than once.
func Run(t *testing.T, locate func(t testing.TB) store.Location) {
	f := func(name string, test func(t *testing.T, s store.Store)) {
		t.Run(name, func(t *testing.T) {
			test(t, open(t, locate(t), store.Options{}))
		})
	}
	f("Accounts", testAccounts)
	f("Shapes", testShapes)
	f("AddKeys", testAddKeys)
	f("MissingKeys", testMissingKeys)
	f("ListLacking", testListLacking)
	f("NoAccount", testNoAccount)
	f("ListAccounts", testListAccounts)
	f("ImportAccounts", testImportAccounts)
	f("CreateAccounts", testCreateAccounts)
	f("AccountEvents", testAccountEvents)
	f("Watch", testWatch)
	f("Generations", testGenerations)
	f("EventContacts", testEventContacts)
	f("DeleteAccount", testDeleteAccount)
	f("RegisterAccount", testRegisterAccount)
	f("ForgetDeleted", testForgetDeleted)
	f("ForgetMany", testForgetMany)
	f("DeleteUnchanged", testDeleteUnchanged)
	f("DeleteSubscriptions", testDeleteSubscriptions)
	f("Roster", testRoster)
	f("RosterConflict", testRosterConflict)
	f("RosterTwice", testRosterTwice)
	f("RosterRequests", testRosterRequests)
	f("RosterChanges", testRosterChanges)
	f("RosterForgets", testRosterForgets)
	f("RosterRecreated", testRosterRecreated)
	f("Offline", testOffline)
	f("AppendAll", testAppendAll)
	f("ExpireOffline", testExpireOffline)
	f("OfflineQuota", testOfflineQuota)
	f("OfflineBytes", testOfflineBytes)
	f("OfflineSenders", testOfflineSenders)
	f("OfflineModel", testOfflineModel)
	f("OfflineRace", testOfflineRace)
	f("LongKeys", testLongKeys)
	f("Blobs", testBlobs)
	f("BlobKeys", testBlobKeys)
	f("BlobUpdate", testBlobUpdate)
	f("BlobOwner", testBlobOwner)
	f("BlobQuota", testBlobQuota)
	f("LastActivity", testLast)
	f("Use", testUse)
	f("DeleteUnused", testDeleteUnused)
	f("Blocks", testBlocks)
	f("Invitations", testInvitations)
	f("ReservedNames", testReservedNames)
	f("RegisterInvited", testRegisterInvited)
	f("InvitationRace", testInvitationRace)
	f("Sessions", testSessions)
	f("TakeSession", testTakeSession)
	f("Text", testText)
	f("Lent", testLent)
	f("Concurrent", testConcurrent)
	f("ConcurrentRoster", testConcurrentRoster)
	t.Run("BlobRace", func(t *testing.T) {
		l := locate(t)
		testBlobRace(t, func() store.Store { return open(t, l, store.Options{}) })
	})
	t.Run("Operations", func(t *testing.T) { testOperations(t, locate) })
	t.Run("Errors", func(t *testing.T) { testErrors(t, locate(t)) })
	t.Run("Context", func(t *testing.T) { testContext(t, locate(t)) })
	t.Run("Closed", func(t *testing.T) { testClosed(t, locate(t)) })
	t.Run("Intercept", func(t *testing.T) { testIntercept(t, locate(t)) })
}

// open opens a store, and closes it when the test ends.
func open(t *testing.T, l store.Location, o store.Options) store.Store {
	t.Helper()
	s, err := l.Open(t.Context(), o)
	ok(t, "Open", err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// canceled returns a context that has ended.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// exit ends the calling goroutine, as testing.T.FailNow does.
func exit() { runtime.Goexit() }

var (
	romeo  = jid.MustParse("romeo@example.net")
	juliet = jid.MustParse("juliet@example.com")
	nurse  = jid.MustParse("nurse@example.com")
	paris  = jid.MustParse("paris@example.com")
	nobody = jid.MustParse("nobody@example.com")
)

// credentials returns credentials that belong to no password, because deriving is slow.
func credentials(fill byte) store.Credentials {
	b := func(n int) []byte { return bytes.Repeat([]byte{fill}, n) }
	var c store.Credentials
	for h := range store.NumHashes {
		salt := b(store.SaltSize)
		salt[0] = byte(h)
		c[h] = store.Keys{Salt: salt, Iterations: 4096 + int(fill) + int(h), StoredKey: b(h.Size()), ServerKey: b(h.Size())}
	}
	return c
}

// only returns the part of credentials that is for one hash function.
func only(h store.Hash, c store.Credentials) (part store.Credentials) {
	part[h] = c[h]
	return part
}

// create creates accounts.
func create(t *testing.T, s store.Store, accounts ...jid.JID) {
	t.Helper()
	for _, j := range accounts {
		if err := s.CreateAccount(t.Context(), store.Account{JID: j, Credentials: credentials(1)}); err != nil {
			t.Fatalf("CreateAccount: %v", err)
		}
	}
}

// wants fails unless err is want.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// ok ends the test if there is an error.
func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func same(a, b store.Credentials) bool { return reflect.DeepEqual(a, b) }
