package router

import (
	"hash/maphash"
	"sync"
	"time"

	"roost/stanza"
)

// untakenCopies are the messages of which no resource here has taken a copy lately: none is believed
// to have one. Otherwise a resource that has come since might be.
type untakenCopies struct {
	mu   sync.Mutex
	last map[uint64]time.Time // by untakenKey
	full time.Time            // when one was not added
}

const (
	untakenFor = time.Minute // longer than it takes until a message is returned from a node that has died
	maxUntaken = 1 << 14     // some 1 MB
)

// untakenKey identifies a message by a hash: its ID may be as long as a stanza. Those of a sender
// without an ID cannot be told apart.
func (r *Router) untakenKey(account string, from Sender, st *stanza.Stanza) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, part := range []string{account, address(from)} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(st.ID)
	return h.Sum64()
}

func (u *untakenCopies) add(c uint64) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	_, known := u.last[c]
	switch {
	case known:
		u.last[c] = now
		return
	case len(u.last) >= maxUntaken:
		u.full = now
		return
	case u.last == nil:
		u.last = make(map[uint64]time.Time)
	}
	u.last[c] = now
	u.forgetLater(c, untakenFor)
}

// isEmpty reports whether has would return false for all.
func (u *untakenCopies) isEmpty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.last) == 0 && u.full.IsZero()
}

func (u *untakenCopies) has(c uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, has := u.last[c]
	return has || !u.full.IsZero() && time.Since(u.full) < untakenFor
}

func (u *untakenCopies) forgetLater(c uint64, after time.Duration) {
	time.AfterFunc(after, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if left := untakenFor - time.Since(u.last[c]); left > 0 {
			u.forgetLater(c, left)
			return
		}
		delete(u.last, c)
	})
}
