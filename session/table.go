package session

import (
	"hash/maphash"

	"github.com/puzpuzpuz/xsync/v3"
)

// table finds the sessions of an account by its bare JID. It is cut into
// shards because a map stops every writer while it grows: one map of a million
// entries was measured to stall a single Store for 244 ms.
//
// The value is the head of a list of the account's sessions, linked through
// Session.next, so that an account with one session pays for one entry and
// finding by full JID needs no second table. Readers take no lock: they walk
// the list while it changes. Writers go through Compute, which is exclusive per
// key.
type table struct {
	seed   maphash.Seed
	shards []*xsync.MapOf[string, *Session]
}

func newTable(shards int) *table {
	t := &table{seed: maphash.MakeSeed(), shards: make([]*xsync.MapOf[string, *Session], shards)}
	for i := range t.shards {
		t.shards[i] = xsync.NewMapOf[string, *Session]()
	}
	return t
}

func (t *table) shard(bare string) *xsync.MapOf[string, *Session] {
	return t.shards[maphash.String(t.seed, bare)%uint64(len(t.shards))]
}

// first is the head of the account's list, nil when it has no session.
func (t *table) first(bare string) *Session {
	s, _ := t.shard(bare).Load(bare)
	return s
}

// update changes the account's list; f gets the head and answers the new one.
func (t *table) update(bare string, f func(head *Session) *Session) {
	t.shard(bare).Compute(bare, func(head *Session, _ bool) (*Session, bool) {
		head = f(head)
		return head, head == nil
	})
}

// unlink takes s out of the list: s itself, never another session of the same
// name. It reports the new head and whether s was there. s keeps its own next,
// so that a reader standing on it goes on.
func unlink(head, s *Session) (*Session, bool) {
	if head == s {
		return s.next.Load(), true
	}
	for prev := head; prev != nil; prev = prev.next.Load() {
		if prev.next.Load() == s {
			prev.next.Store(s.next.Load())
			return head, true
		}
	}
	return head, false
}

// count is the number of accounts in the table.
func (t *table) count() int {
	n := 0
	for _, m := range t.shards {
		n += m.Size()
	}
	return n
}

// each calls f for every session until f answers false.
func (t *table) each(f func(*Session) bool) {
	for _, m := range t.shards {
		stop := false
		m.Range(func(_ string, s *Session) bool {
			for ; s != nil; s = s.next.Load() {
				if !f(s) {
					stop = true
					return false
				}
			}
			return true
		})
		if stop {
			return
		}
	}
}
