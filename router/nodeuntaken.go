package router

import (
	"strings"
	"sync"
	"time"

	"roost/stanza"
)

// untakenCopies are the messages of which no resource here has taken a copy lately: none is believed
// to have one. Otherwise a resource that has come since might be.
type untakenCopies struct {
	mu   sync.Mutex
	last map[untakenCopy]time.Time
	full time.Time // when one was not added
}

// untakenCopy identifies a message. Those of a sender without an ID cannot be told apart.
type untakenCopy struct {
	account, from, id string
}

const (
	untakenFor = time.Minute // longer than it takes until a message is returned from a node that has died
	maxUntaken = 1 << 14     // some 5 MB
)

func untaken(account string, from Sender, st *stanza.Stanza) untakenCopy {
	return untakenCopy{account, address(from), string(st.ID)}
}

func (u *untakenCopies) add(c untakenCopy) {
	c.account = strings.Clone(c.account) // it is borrowed
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
		u.last = make(map[untakenCopy]time.Time)
	}
	u.last[c] = now
	u.forgetLater(c, untakenFor)
}

func (u *untakenCopies) has(c untakenCopy) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, has := u.last[c]
	return has || !u.full.IsZero() && time.Since(u.full) < untakenFor
}

func (u *untakenCopies) forgetLater(c untakenCopy, after time.Duration) {
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
