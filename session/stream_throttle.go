package session

import (
	"hash/maphash"
	"sync"
	"time"

	"roost/internal/peernet"
)

// The limits of failed logins. Everything is measured in the time until it is
// forgiven; docs/decisions has the reasons.
const (
	forgiveFailure = time.Minute // a failure of one account from one network is forgiven in this time

	// wideFactor is how many accounts may use up what one network has, and how
	// many networks what one account has, each at its own limit.
	wideFactor = 10

	// attackedFailures is how many failures a network that an account has never
	// logged in from has while the account is under attack from many networks.
	attackedFailures = 3

	// mostDebt is what anything can owe, in limits: however long an account was
	// attacked, it is not treated so for more than one limit after the attack.
	mostDebt = 2

	historyTime = 24 * time.Hour // a generation of familiar pairs

	// maxFailureDelay is the longest delay of the response to a failed login.
	maxFailureDelay = 8 * time.Second
)

// throttle limits how fast passwords can be guessed: by account and network, by
// network, and, with no more than a delay, by account. Its methods may be called
// by any goroutine.
type throttle struct {
	max     int           // failures of an account from a network; 0: nothing is limited
	base    time.Duration // delay of the response to the first failure; doubles with each
	longest time.Duration // the longest delay
	seed    maphash.Seed
	started time.Time

	mu                        sync.Mutex
	pairs, networks, accounts debts         // empty until the first failure
	known, before             *loginHistory // this generation and the one before; nil until somebody logs in
	turned                    time.Duration
}

// Sizes of the tables, in sets: 512 KiB, 128 KiB and 128 KiB.
const (
	pairSets    = 1 << 12
	networkSets = 1 << 10
	accountSets = 1 << 10
)

func (x *throttle) prepare(cfg *Config) {
	x.max = max(0, cfg.MaxFailures)
	x.base = max(0, cfg.FailureDelay)
	// All tries of a stream fit in the time for the login.
	x.longest = min(maxFailureDelay, cfg.LoginTimeout/(maxAuthTries+1))
	if x.max == 0 || x.base == 0 {
		x.base, x.longest = 0, 0
	}
	x.seed = maphash.MakeSeed()
	x.started = time.Now()
}

// guess is one attempt to log in: which account, from where.
type guess struct {
	pair, network, account uint64 // hashes
	local                  bool   // from loopback
}

func (x *throttle) guess(account string, from peernet.Network) guess {
	a := maphash.String(x.seed, account)
	return guess{
		pair:    maphash.Comparable(x.seed, [2]uint64{a, uint64(from)}) | 1,
		network: maphash.Comparable(x.seed, from) | 1,
		account: a | 1,
		local:   from == peernet.Loopback,
	}
}

// limit is what anything may owe before that has consequences.
func (x *throttle) limit() time.Duration { return time.Duration(x.max) * forgiveFailure }

func (x *throttle) now() time.Duration { return time.Since(x.started) }

// refuses reports whether an attempt must not be tried now.
func (x *throttle) refuses(g guess) bool {
	if x.max == 0 {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now, limit := x.now(), x.limit()
	known := x.known.has(g.pair) || x.before.has(g.pair)
	if !known && x.accounts.owes(g.account, now) >= limit {
		limit = min(limit, attackedFailures*forgiveFailure)
	}
	// One more must fit.
	if x.pairs.owes(g.pair, now) > limit-forgiveFailure {
		return true
	}
	return !known && !g.local && x.networks.owes(g.network, now) > x.limit()-x.networkCost(g)
}

// networkCost is what a failure costs a network: the more accounts have logged
// in from it, the less. Under mu.
func (x *throttle) networkCost(g guess) time.Duration {
	accounts := max(1, x.known.accounts(g.network), x.before.accounts(g.network))
	return forgiveFailure / wideFactor / time.Duration(accounts)
}

// failed counts a wrong password and returns how long the response is to wait.
func (x *throttle) failed(g guess) time.Duration {
	if x.max == 0 {
		return 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pairs.until.sets == nil {
		most := mostDebt * x.limit()
		x.pairs, x.networks, x.accounts = newDebts(pairSets, most), newDebts(networkSets, most), newDebts(accountSets, most)
	}
	now := x.now()
	pair := x.pairs.charge(g.pair, now, forgiveFailure)
	account := x.accounts.charge(g.account, now, forgiveFailure/wideFactor)
	network := time.Duration(0)
	if !g.local {
		network = x.networks.charge(g.network, now, x.networkCost(g))
	}
	if max(account, network) >= x.limit() {
		return x.longest
	}
	failures := (pair + forgiveFailure - 1) / forgiveFailure // that are not forgiven yet
	return min(x.base<<min(failures-1, 16), x.longest)
}

// succeeded notes a login.
func (x *throttle) succeeded(g guess) {
	if x.max == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.now()
	if x.known == nil || x.known.n >= historyMax || now-x.turned >= historyTime {
		x.before, x.known, x.turned = x.known, newLoginHistory(), now
	}
	x.known.add(g.pair, g.network)
}
