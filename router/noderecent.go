package router

import (
	"slices"
	"sync"
	"time"
)

// recentChanges are the last changes that this node has made, and those of which pushes were missed.
// Very many sessions that were saved may be resumed at once, and for each of them the changes of one
// account are looked for.
type recentChanges struct {
	mu     sync.Mutex
	all    []recentChange    // a ring
	noted  uint64            // how many were: the number of the last one
	newest map[string]uint64 // the number of each account's last one
}

type recentChange struct {
	rosterChange
	at     time.Time
	before uint64 // the number of the account's last change before this one
}

// Sessions wait in the store, and nodes are cut off, for minutes rather than hours. The list has
// at most some 4 MB; all of it, sent to a node twice, is less than half of what may wait for that.
const (
	recentFor = time.Hour
	maxRecent = 1 << 14
)

// note adds a change. It returns false for a push that was missed if it is among the account's changes
// already: several nodes may tell of the same pushes.
func (q *recentChanges) note(x rosterChange, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if x.missed {
		for n := q.newest[x.account]; n > 0 && n+maxRecent > q.noted; n = q.change(n).before {
			if q.change(n).rosterChange == x {
				return false
			}
		}
	}
	if q.newest == nil {
		q.newest = make(map[string]uint64)
	}
	c := recentChange{x, now, q.newest[x.account]}
	if len(q.all) < maxRecent {
		q.all = append(q.all, c)
	} else {
		oldest := q.change(q.noted + 1)
		if q.newest[oldest.account] == q.noted+1-maxRecent {
			delete(q.newest, oldest.account)
		}
		*oldest = c
	}
	q.noted++
	q.newest[x.account] = q.noted
	return true
}

// change returns the change with a number, or the one in its place. Numbers begin at 1.
func (q *recentChanges) change(number uint64) *recentChange { return &q.all[(number-1)%maxRecent] }

// of returns what has changed lately, of one account, or of all if account is "", each once.
func (q *recentChanges) of(account string, now time.Time) (changes []rosterChange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	type what struct {
		account, contact string
		blocklist        bool
	}
	had := make(map[what]bool)
	number := q.noted
	if account != "" {
		number = q.newest[account]
	}
	for number > 0 && number+maxRecent > q.noted { // the newest first
		x := q.change(number)
		if now.Sub(x.at) > recentFor {
			break
		}
		if w := (what{x.account, x.contact, x.blocklist}); !had[w] {
			had[w] = true
			changes = append(changes, x.rosterChange)
		}
		if number--; account != "" {
			number = x.before
		}
	}
	slices.Reverse(changes)
	return changes
}
