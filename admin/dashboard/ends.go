package dashboard

import (
	"cmp"
	"slices"
	"time"

	"roost/session"
)

// How far back the counts of ended sessions go, and for how many reasons. There are about
// thirty: the conditions of RFC 6120 section 4.9.3, and a few of package session.
const (
	endsInterval = 5 * time.Minute
	endsCount    = 13 // an hour, and the interval in progress
	maxReasons   = 48
)

// ends counts ended sessions by reason, now and at times in the last hour. The zero value
// is empty.
type ends struct {
	reasons [maxReasons]string // in the order in which they have occurred; package session has them as constants
	known   int
	counts  [endsCount]endCounts // a ring
	next    int
	filled  int
	now     endCounts
}

// endCounts are the counts at a time, by the index of the reason.
type endCounts struct {
	at time.Time
	n  [maxReasons]int64
}

// add records counts since the start.
func (e *ends) add(now time.Time, all []session.Ended) {
	for _, r := range all {
		i := slices.Index(e.reasons[:e.known], r.Reason)
		if i < 0 {
			if e.known == maxReasons {
				continue
			}
			i = e.known
			e.reasons[i] = r.Reason
			e.known++
		}
		e.now.n[i] = r.Count
	}
	e.now.at = now
	if e.filled > 0 && now.Sub(e.counts[(e.next+endsCount-1)%endsCount].at) < endsInterval {
		return
	}
	e.counts[e.next] = e.now
	e.next = (e.next + 1) % endsCount
	e.filled = min(e.filled+1, endsCount)
}

// endReason is how many sessions have ended for a reason.
type endReason struct {
	Reason   string
	LastHour int64
	Total    int64 // since the start
}

// endReasons returns the reasons for which sessions have ended, the most frequent in the
// last hour first.
func (h *History) endReasons() (all []endReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &h.ends
	var before endCounts
	if e.filled > 0 {
		// The newest counts that are an hour old, or else the first ones.
		before = e.counts[(e.next+endsCount-e.filled)%endsCount]
		for i := range e.filled {
			c := e.counts[(e.next+endsCount-e.filled+i)%endsCount]
			if e.now.at.Sub(c.at) >= time.Hour {
				before = c
			}
		}
	}
	for i, reason := range e.reasons[:e.known] {
		all = append(all, endReason{reason, e.now.n[i] - before.n[i], e.now.n[i]})
	}
	slices.SortFunc(all, func(a, b endReason) int {
		return cmp.Or(cmp.Compare(b.LastHour, a.LastHour), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
