package session

import "time"

// debts remembers for many keys until when each has something to be forgiven, on
// the clock of the throttle.
type debts struct {
	until fixedTable[time.Duration]
	most  time.Duration // what a key may owe: more is not counted
}

// newDebts returns a table of sets*tableWays keys, 16 bytes each.
func newDebts(sets int, most time.Duration) debts {
	return debts{newFixedTable[time.Duration](sets), most}
}

// owes returns how long it takes from now on until everything is forgiven.
func (d debts) owes(key uint64, now time.Duration) time.Duration {
	return max(0, d.until.get(key)-now)
}

// charge adds cost and returns what the key owes then.
func (d debts) charge(key uint64, now, cost time.Duration) time.Duration {
	until := d.until.at(key)
	*until = min(max(*until, now)+cost, now+d.most)
	return *until - now
}
