package session

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"roost/jid"
)

// TestSessionSize limits the memory of an idle session, of which there may be a million.
func TestSessionSize(t *testing.T) {
	if got := unsafe.Sizeof(Session{}); got > 96 {
		t.Errorf("a Session takes %d bytes, want at most 96", got)
	}
	if got := unsafe.Sizeof(Presence{}); got > 32 {
		t.Errorf("a Presence takes %d bytes, want at most 32", got)
	}
}

func testManager(t *testing.T) *Manager {
	t.Helper()
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 2, KeyWorkers: 1, Shards: 4})
	t.Cleanup(m.Close)
	return m
}

func TestSessionAddresses(t *testing.T) {
	f := func(address, user, host, resource, full, bare string) {
		t.Helper()
		s := &Session{}
		if address != "" {
			s.jid = jid.MustParse(address).Compact()
		}
		got := []string{s.Username(), s.Host(), s.Resource(), s.FullJID(), s.BareJID()}
		want := []string{user, host, resource, full, bare}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
	f("", "", "", "", "", "")
	f("example.org", "", "example.org", "", "", "")
	f("romeo@example.org", "romeo", "example.org", "", "", "romeo@example.org")
	f("romeo@example.org/o", "romeo", "example.org", "o", "romeo@example.org/o", "romeo@example.org")
}

// TestSharedPresence: equal presences are stored once, and released with the last session
// that has them.
func TestSharedPresence(t *testing.T) {
	m := testManager(t)
	a, b := &Session{mgr: m}, &Session{mgr: m}
	a.SetPresence(m.SharePresence([]byte("<presence/>")), 5)
	b.SetPresence(m.SharePresence([]byte("<presence/>")), -7)
	if a.Presence() != b.Presence() {
		t.Error("equal presences are not shared")
	}
	if a.Priority() != 5 || b.Priority() != -7 || !a.Available() {
		t.Errorf("priorities %d and %d, want 5 and -7", a.Priority(), b.Priority())
	}
	a.SetPresence(nil, 0)
	if a.Available() || a.Priority() != 0 || a.Presence() != nil {
		t.Error("unavailable, but presence or priority remains")
	}
	b.SetPresence(m.SharePresence([]byte("<presence><show>away</show></presence>")), 0)
	b.SetPresence(nil, 0)
	if n := m.Counts().Presences; n != 0 {
		t.Errorf("%d presences are left, want 0", n)
	}
}

// TestUnlinkComparesSessions: a late cleanup never removes a session's replacement with the
// same address.
func TestUnlinkComparesSessions(t *testing.T) {
	tab := newTable(4)
	full := jid.MustParse("romeo@localhost/orchard").Compact()
	old, young := &Session{jid: full}, &Session{jid: full}
	tab.update(old.BareJID(), func(head *Session) *Session { return old })
	tab.update(old.BareJID(), func(head *Session) *Session {
		head, _ = unlink(head, old)
		young.next.Store(head)
		return young
	})
	found := true
	tab.update(old.BareJID(), func(head *Session) *Session {
		head, found = unlink(head, old)
		return head
	})
	if found || tab.first(young.BareJID()) != young {
		t.Error("unlinking the old session removed its replacement")
	}
}

// TestEqualHashes: accounts that share a list do not see each other's sessions.
func TestEqualHashes(t *testing.T) {
	tab := newTable(4)
	tab.mask = 0
	var all []*Session
	for _, j := range []string{"a@x/1", "b@x/1", "a@x/2", "c@x/1", "b@x/2"} {
		s := &Session{jid: jid.MustParse(j).Compact()}
		tab.update(s.BareJID(), func(head *Session) *Session {
			s.next.Store(head)
			return s
		})
		all = append(all, s)
	}
	f := func(bare, want string) {
		t.Helper()
		got := ""
		for s := tab.first(bare); s != nil; s = s.Next() {
			got += s.JID().String() + " "
		}
		if got != want {
			t.Errorf("%s has %q, want %q", bare, got, want)
		}
	}
	f("a@x", "a@x/2 a@x/1 ")
	f("b@x", "b@x/2 b@x/1 ")
	f("c@x", "c@x/1 ")
	f("d@x", "")
	tab.update("b@x", func(head *Session) *Session {
		head, _ = unlink(head, all[1])
		return head
	})
	f("b@x", "b@x/2 ")
	f("a@x", "a@x/2 a@x/1 ")
}

// TestTableConcurrently runs writers and readers of one account's list, for the race
// detector.
func TestTableConcurrently(t *testing.T) {
	tab := newTable(4)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			s := &Session{jid: jid.MustParse(fmt.Sprintf("romeo@localhost/%d", g)).Compact()}
			for range 2000 {
				tab.update(s.BareJID(), func(head *Session) *Session {
					s.next.Store(head)
					return s
				})
				n := 0
				for x := tab.first(s.BareJID()); x != nil && n < 100; x = x.Next() {
					n++
				}
				tab.update(s.BareJID(), func(head *Session) *Session {
					head, _ = unlink(head, s)
					return head
				})
			}
		})
	}
	wg.Wait()
	if n := tab.count(); n != 0 {
		t.Errorf("%d accounts are left, want 0", n)
	}
}

// TestCloseRunsQueuedJobs: jobs queued before close are run.
func TestCloseRunsQueuedJobs(t *testing.T) {
	m := testManager(t)
	var mu sync.Mutex
	done := 0
	for range 1000 {
		m.Go(Read, func(*Turn) {
			mu.Lock()
			done++
			mu.Unlock()
		})
	}
	m.reads.close()
	if done != 1000 {
		t.Errorf("%d jobs of 1000 were done", done)
	}
}
