//go:build linux

package poller

import (
	"hash/maphash"
	"math"
)

// attempts counts how often each peer connects, minute by minute. RFC 6120 section 13.12
// (https://www.rfc-editor.org/rfc/rfc6120#section-13.12) recommends limiting not only the
// concurrent connections of an address but also its connection attempts in a period. It
// is owned by the first loop, which accepts.
//
// A table of addresses would be a target: a /48 alone has 65,536 networks to fill it
// with. So there is no table. Each peer has one counter in each of two rows, chosen by a
// hash with a secret seed, and the smaller counter counts. Two peers are confused only if
// they collide in both rows.
type attempts struct {
	limit   uint32 // attempts per minute; 0: no limit
	started uint32 // the second in which this minute began
	seed    maphash.Seed
	rows    *attemptRows // nil until the first connection from another host
}

// attemptSlots is the number of counters in a row; both rows take 128 KiB.
const attemptSlots = 1 << 14

type attemptRows [2][attemptSlots]uint32

func (a *attempts) prepare(limit int) {
	a.setLimit(limit)
	a.seed = maphash.MakeSeed()
}

// setLimit sets the limit; 0 or less is none.
func (a *attempts) setLimit(limit int) { a.limit = uint32(min(max(limit, 0), math.MaxUint32)) }

// allow counts an attempt of a network in the loop's second now; false means that it has
// reached its limit in this minute. Rejected attempts are not counted, so the network may
// connect again in the next minute.
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
	// A counter that is higher because of other networks stays as it is.
	*x, *y = max(*x, n+1), max(*y, n+1)
	return true
}
