package session

import "time"

// debts remembers, for many keys in a fixed amount of memory, until when each
// has something to be forgiven. A key is a hash that nobody outside can compute.
//
// Whatever strangers do, the table neither grows nor mixes keys up: a key that
// finds its set full takes the place of the one that would be forgiven first. A
// crowd of keys with one failure each therefore pushes out only its like; those
// with many failures stay.
type debts struct {
	sets [][debtWays]debt
}

const debtWays = 8

type debt struct {
	key   uint64        // 0: free
	until time.Duration // on the clock of the throttle
}

// newDebts returns a table of sets*debtWays keys, 16 bytes each; sets is a power
// of two.
func newDebts(sets int) debts { return debts{make([][debtWays]debt, sets)} }

func (d debts) set(key uint64) *[debtWays]debt {
	return &d.sets[key>>32&uint64(len(d.sets)-1)]
}

// owes returns how long it takes from now on until everything is forgiven.
func (d debts) owes(key uint64, now time.Duration) time.Duration {
	if len(d.sets) == 0 {
		return 0
	}
	for _, e := range d.set(key) {
		if e.key == key {
			return max(0, e.until-now)
		}
	}
	return 0
}

// charge adds cost and returns what the key owes then.
func (d debts) charge(key uint64, now, cost time.Duration) time.Duration {
	set := d.set(key)
	e := &set[0]
	for i := range set {
		if set[i].key == key {
			e = &set[i]
			break
		}
		if set[i].until < e.until {
			e = &set[i]
		}
	}
	if e.key != key {
		*e = debt{key: key}
	}
	e.until = max(e.until, now) + cost
	return e.until - now
}
