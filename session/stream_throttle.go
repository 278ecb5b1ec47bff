package session

import (
	"hash/maphash"
	"sync"
	"time"

	"roost/internal/peernet"
)

// Limits of failed logins. All debts are measured as the time until they are forgiven;
// docs/decisions gives the reasons.
const (
	forgiveFailure = time.Minute // one failure of an account from a network is forgiven in this time

	// wideFactor is the number of accounts, each at its limit, that use up the limit of a
	// network, and the number of networks that use up the limit of an account.
	wideFactor = 10

	// attackedFailures is the number of failures allowed from a network from which an
	// account has never logged in while the account is attacked from many networks.
	attackedFailures = 3

	// mostDebt is the maximum debt, as a multiple of the limit: however long an attack
	// lasts, it affects the account for the time of at most one limit after its end.
	mostDebt = 2

	historyTime = 24 * time.Hour // duration of a generation of loginHistory

	// maxFailureDelay is the longest delay of the response to a failed login.
	maxFailureDelay = 8 * time.Second

	// maxFailures is the largest limit of failures: 19 years of debt. The maximum debt of a
	// larger one would not fit in a time.Duration.
	maxFailures = 10_000_000
)

// throttle limits the rate of password guesses: by account and network, by network, and,
// only with a delay, by account. Any goroutine may call its methods.
type throttle struct {
	seed    maphash.Seed
	started time.Time

	mu                        sync.Mutex
	max                       int           // failures allowed for an account from a network; 0: no limits
	base                      time.Duration // delay of the response to the first failure; doubled for each further one
	longest                   time.Duration // the maximum delay
	pairs, networks, accounts debts         // empty until the first failure
	known, before             *loginHistory // this generation and the previous one; nil until the first logins
	turned                    time.Duration
}

// Sizes of the tables, in sets: 512 KiB, 128 KiB and 128 KiB.
const (
	pairSets    = 1 << 12
	networkSets = 1 << 10
	accountSets = 1 << 10
)

func (x *throttle) prepare(cfg *Config) {
	x.seed = maphash.MakeSeed()
	x.started = time.Now()
	x.set(cfg)
}

// set changes the limits. What has been counted remains.
func (x *throttle) set(cfg *Config) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.max = min(max(0, cfg.MaxFailures), maxFailures)
	x.base = max(0, cfg.FailureDelay)
	// All attempts of a stream must fit into the login timeout.
	x.longest = min(maxFailureDelay, cfg.LoginTimeout/(maxAuthTries+1))
	if x.max == 0 || x.base == 0 {
		x.base, x.longest = 0, 0
	}
	for _, d := range []*debts{&x.pairs, &x.networks, &x.accounts} {
		d.most = x.most()
	}
}

// guess is one login attempt: the account and the network.
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

// limit returns the debt from which on attempts are refused. The caller holds mu.
func (x *throttle) limit() time.Duration { return time.Duration(x.max) * forgiveFailure }

// most returns the maximum debt. The caller holds mu.
func (x *throttle) most() time.Duration { return mostDebt * x.limit() }

func (x *throttle) now() time.Duration { return time.Since(x.started) }

// refuses reports whether an attempt must be refused.
func (x *throttle) refuses(g guess) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.max == 0 {
		return false
	}
	now, limit := x.now(), x.limit()
	known := x.known.has(g.pair) || x.before.has(g.pair)
	if !known && x.accounts.owes(g.account, now) >= limit {
		limit = min(limit, attackedFailures*forgiveFailure)
	}
	// There must be space for one more failure.
	if x.pairs.owes(g.pair, now) > limit-forgiveFailure {
		return true
	}
	return !known && !g.local && x.networks.owes(g.network, now) > x.limit()-x.networkCost(g)
}

// networkCost returns the cost of a failure for its network: the more accounts have logged
// in from it, the lower. The caller holds mu.
func (x *throttle) networkCost(g guess) time.Duration {
	accounts := max(1, x.known.accounts(g.network), x.before.accounts(g.network))
	return forgiveFailure / wideFactor / time.Duration(accounts)
}

// failed counts a wrong password and returns the delay of the response.
func (x *throttle) failed(g guess) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.max == 0 {
		return 0
	}
	if x.pairs.until.sets == nil {
		most := x.most()
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
	failures := (pair + forgiveFailure - 1) / forgiveFailure // not yet forgiven
	return min(x.base<<min(failures-1, 16), x.longest)
}

// longestDelay returns the maximum delay of a response, which an attempt gets that was
// refused.
func (x *throttle) longestDelay() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.longest
}

// succeeded records a login.
func (x *throttle) succeeded(g guess) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.max == 0 {
		return
	}
	now := x.now()
	if x.known == nil || x.known.n >= historyMax || now-x.turned >= historyTime {
		x.before, x.known, x.turned = x.known, newLoginHistory(), now
	}
	x.known.add(g.pair, g.network)
}
