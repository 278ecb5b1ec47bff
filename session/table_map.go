package session

import (
	"hash/maphash"
	"math/bits"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/panics"
)

// table finds the sessions of an account by its bare JID. It is split into shards because a
// map blocks every writer while it grows: a single Store into one map of a million entries
// was measured to take 244 ms.
//
// The key is the hash of the bare JID, which takes half the memory of a string. The value
// is the head of a list of sessions, linked through Session.next. So an account with one
// session needs one entry, and finding a full JID needs no second table. Accounts with
// equal hashes share a list, which has a probability of 1 in 40 million for a million
// accounts; code that walks a list therefore compares addresses. Readers take no lock: they
// may walk the list while it changes. Writers use Compute, which is exclusive per key.
type table struct {
	seed   maphash.Seed
	mask   uint64 // bits of the hash that are used: all of them, except in tests
	shards []*xsync.MapOf[uint64, *Session]
}

func newTable(shards int) *table {
	t := &table{seed: maphash.MakeSeed(), mask: ^uint64(0), shards: make([]*xsync.MapOf[uint64, *Session], shards)}
	for i := range t.shards {
		// The low bits select the shard, so they are the same for all of its keys. The map
		// gets the high bits.
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

// hash returns the hash of a bare JID.
func (t *table) hash(bare string) uint64 { return maphash.String(t.seed, bare) }

// first returns the account's first session, nil if it has none.
func (t *table) first(bare string) *Session {
	m, key := t.find(bare)
	s, _ := m.Load(key)
	return s.from(bare)
}

// update changes the list that contains the account. f gets the head, which may be a
// session of another account, and returns the new head.
func (t *table) update(bare string, f func(head *Session) *Session) {
	m, key := t.find(bare)
	m.Compute(key, func(head *Session, _ bool) (*Session, bool) {
		defer panics.Stop() // otherwise the map would stay locked
		head = f(head)
		return head, head == nil
	})
}

// unlink removes s from the list: s itself, never another session of the same name. It
// returns the new head and whether s was found. s keeps its own next, so that a reader at s
// can continue.
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

// count returns the number of accounts in the table.
func (t *table) count() int {
	n := 0
	for _, m := range t.shards {
		n += m.Size()
	}
	return n
}

// each calls f for every session until f returns false.
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
