package session

import "time"

// debts holds, for many keys, when each key's debt will be forgiven, as times of the
// throttle's clock.
type debts struct {
	until fixedTable[time.Duration]
	most  time.Duration // the maximum debt of a key: more is not counted
}

// newDebts returns a table of sets*tableWays keys, 16 bytes each.
func newDebts(sets int, most time.Duration) debts {
	return debts{newFixedTable[time.Duration](sets), most}
}

// owes returns the key's debt: how long it takes from now until everything is forgiven.
func (d debts) owes(key uint64, now time.Duration) time.Duration {
	return max(0, d.until.get(key)-now)
}

// charge adds cost to the key's debt and returns the new debt.
func (d debts) charge(key uint64, now, cost time.Duration) time.Duration {
	until := d.until.at(key)
	*until = min(max(*until, now)+cost, now+d.most)
	return *until - now
}
