package session

import (
	"hash/maphash"
	"math/bits"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/panics"
)

// table finds the sessions of an account by its bare JID. It is cut into
// shards because a map stops every writer while it grows: one map of a million
// entries was measured to stall a single Store for 244 ms.
//
// The key is the hash of the bare JID, which takes half the room of a string;
// the value is the head of a list of sessions, linked through Session.next, so
// that an account with one session pays for one entry and finding by full JID
// needs no second table. Accounts whose hashes are equal share a list, which
// happens to two of a million with a probability of 1 in 40 million: who walks
// it compares addresses. Readers take no lock: they walk the list while it
// changes. Writers go through Compute, which is exclusive per key.
type table struct {
	seed   maphash.Seed
	mask   uint64 // bits of the hash that count: all of them, but in tests
	shards []*xsync.MapOf[uint64, *Session]
}

func newTable(shards int) *table {
	t := &table{seed: maphash.MakeSeed(), mask: ^uint64(0), shards: make([]*xsync.MapOf[uint64, *Session], shards)}
	for i := range t.shards {
		// The shard is chosen by the low bits, which are the same for all of its
		// keys: the map gets the high ones.
		t.shards[i] = xsync.NewMapOfWithHasher[uint64, *Session](func(key, seed uint64) uint64 {
			return bits.RotateLeft64(key, 32) ^ seed
		})
	}
	return t
}

func (t *table) find(bare string) (*xsync.MapOf[uint64, *Session], uint64) {
	key := t.hash(bare) & t.mask
	return t.shards[key%uint64(len(t.shards))], key
}

// hash is the hash of a bare JID.
func (t *table) hash(bare string) uint64 { return maphash.String(t.seed, bare) }

// first is the account's first session, nil when it has none.
func (t *table) first(bare string) *Session {
	m, key := t.find(bare)
	s, _ := m.Load(key)
	return s.from(bare)
}

// update changes the list that the account is in; f gets its head, which may be
// another account's session, and answers the new one.
func (t *table) update(bare string, f func(head *Session) *Session) {
	m, key := t.find(bare)
	m.Compute(key, func(head *Session, _ bool) (*Session, bool) {
		defer panics.Stop() // the map would stay locked
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
		m.Range(func(_ uint64, s *Session) bool {
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
