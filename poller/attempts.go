//go:build linux

package poller

import (
	"hash/maphash"
	"math"
)

// attempts counts how often each peer connects, minute by minute: RFC 6120
// section 13.12 wants connections of an address limited not only at one time
// but in a period too. It belongs to the first loop, which accepts.
//
// An address can change hands faster than any table of addresses forgets, and a
// /48 has 65,536 networks to fill one with. So there is no table: each peer has
// a counter in each of two rows, chosen by a hash that nobody outside can
// compute, and what counts is the smaller one. Peers are mixed up only where
// they meet in both rows.
type attempts struct {
	limit   uint32 // for a minute; 0: none
	started uint32 // the second in which this minute began
	seed    maphash.Seed
	rows    *attemptRows // nil until somebody connects from outside
}

// attemptSlots is the number of counters in a row; both rows take 128 KiB.
const attemptSlots = 1 << 14

type attemptRows [2][attemptSlots]uint32

func (a *attempts) prepare(limit int) {
	a.limit = uint32(min(max(limit, 0), math.MaxUint32))
	a.seed = maphash.MakeSeed()
}

// allow counts an attempt of a network, in the loop's second now; false means
// that it has had its share of this minute. Those who are turned away are
// not counted: with the next minute they may come again.
func (a *attempts) allow(from network, now uint32) bool {
	if a.limit == 0 {
		return true
	}
	switch {
	case a.rows == nil:
		a.rows = new(attemptRows)
		a.started = now
	case now-a.started >= 60:
		*a.rows = attemptRows{}
		a.started = now
	}
	h := maphash.Comparable(a.seed, from)
	x, y := &a.rows[0][h%attemptSlots], &a.rows[1][h>>32%attemptSlots]
	n := min(*x, *y)
	if n >= a.limit {
		return false
	}
	// A counter that others have brought further stays as it is.
	*x, *y = max(*x, n+1), max(*y, n+1)
	return true
}
