package session

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/peernet"
)

// TestDebtsAreLimited: very many keys do not make the table grow, and do not replace keys
// with a large debt.
func TestDebtsAreLimited(t *testing.T) {
	d := newDebts(64, time.Hour)
	const much = 0xabcdef0123456789
	for range 10 {
		d.charge(much, 0, time.Minute)
	}
	x := throttle{}
	x.prepare(&Config{MaxFailures: 10, FailureDelay: time.Second, LoginTimeout: time.Minute})
	last := uint64(0)
	for i := range 100_000 {
		last = x.guess(strconv.Itoa(i), peernet.Loopback).pair
		if got := d.charge(last, 0, time.Minute); got != time.Minute {
			t.Fatalf("a new key owes %v", got)
		}
	}
	if got := d.owes(much, 0); got != 10*time.Minute {
		t.Errorf("after many other keys it owes %v, want 10 min", got)
	}
	if got := d.owes(last, 0); got != time.Minute {
		t.Errorf("the last key owes %v, want 1 min", got)
	}
	if len(d.until.sets) != 64 {
		t.Errorf("%d sets", len(d.until.sets))
	}
	if got := d.owes(much, 4*time.Minute); got != 6*time.Minute {
		t.Errorf("four minutes later it owes %v, want 6 min", got)
	}
	if got := d.owes(much, 20*time.Minute); got != 0 {
		t.Errorf("after everything is forgiven it owes %v", got)
	}
}

// TestAttackIsForgiven: soon after the last failure of an attack, however large and from
// however many networks, a network from which the account has never logged in has all its
// attempts again. Bug: an account's debt was unlimited, so its owner had few attempts for a
// time that grew with the attack.
func TestAttackIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := throttle{}
		x.prepare(&Config{MaxFailures: 10, FailureDelay: time.Second, LoginTimeout: time.Minute})
		for i := range 100_000 {
			g := x.guess("romeo@localhost", peernet.Network(i+1))
			if x.refuses(g) {
				t.Fatalf("the first attempt of network %d is refused", i)
			}
			x.failed(g)
		}
		next := peernet.Network(1 << 20)
		tries := func() (n int) {
			next++
			for g := x.guess("romeo@localhost", next); !x.refuses(g); n++ {
				x.failed(g)
			}
			return n
		}
		if got := tries(); got != attackedFailures {
			t.Errorf("during the attack a network has %d attempts, want %d", got, attackedFailures)
		}
		time.Sleep(x.limit() - time.Second)
		if got := tries(); got != attackedFailures {
			t.Errorf("shortly before the attack is forgiven a network has %d attempts, want %d", got, attackedFailures)
		}
		time.Sleep(2 * time.Minute)
		if got := tries(); got != x.max {
			t.Errorf("afterwards a network has %d attempts, want %d", got, x.max)
		}
		time.Sleep(mostDebt * x.limit())
		if got := x.accounts.owes(x.guess("romeo@localhost", 1).account, x.now()); got != 0 {
			t.Errorf("in the end the account owes %v", got)
		}
	})
}

// TestLargeLimits: a limit that nobody reaches refuses nobody, and the response to the first
// failure has its usual delay. Bug: the debt of a large limit did not fit in its type: logins
// were refused, or ended with an internal error.
func TestLargeLimits(t *testing.T) {
	for _, limit := range []int{maxFailures, 76_861_434, 100_000_000, 160_000_000, 1_000_000_000} {
		x := throttle{}
		x.prepare(&Config{MaxFailures: limit, FailureDelay: time.Second, LoginTimeout: time.Minute})
		for _, g := range []guess{x.guess("romeo@localhost", peernet.Loopback), x.guess("juliet@localhost", 1)} {
			if x.refuses(g) {
				t.Errorf("with a limit of %d the first attempt is refused", limit)
			}
			if got := x.failed(g); got != time.Second {
				t.Errorf("with a limit of %d the first failure is told after %v", limit, got)
			}
			if x.refuses(g) {
				t.Errorf("with a limit of %d the second attempt is refused", limit)
			}
		}
	}
}

// TestThrottleAllocatesOnce: failures and logins of new accounts and networks allocate only
// the tables, once.
func TestThrottleAllocatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := throttle{}
		x.prepare(&Config{MaxFailures: 10, FailureDelay: time.Second, LoginTimeout: time.Minute})
		g := x.guess("romeo@localhost", 1)
		x.failed(g)
		x.succeeded(g)
		n := uint64(1)
		if allocs := testing.AllocsPerRun(10_000, func() {
			n++
			g := guess{pair: n * 0x9e3779b97f4a7c15, network: n * 0xbf58476d1ce4e5b9, account: n * 0x94d049bb133111eb}
			x.refuses(g)
			x.failed(g)
			x.succeeded(g)
		}); allocs != 0 {
			t.Errorf("%v allocations each", allocs)
		}
	})
}

// TestLoginHistory: a pair of account and network is known from its login on, for at least
// one day and at most two.
func TestLoginHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := throttle{}
		x.prepare(&Config{MaxFailures: 10, FailureDelay: time.Second, LoginTimeout: time.Minute})
		g, other := x.guess("romeo@localhost", 7), x.guess("juliet@localhost", 7)
		familiar := func(g guess) bool { return x.known.has(g.pair) || x.before.has(g.pair) }
		x.succeeded(g)
		if !familiar(g) || familiar(other) {
			t.Errorf("after the login: %v, another: %v", familiar(g), familiar(other))
		}
		time.Sleep(historyTime)
		x.succeeded(other)
		if !familiar(g) || !familiar(other) {
			t.Error("forgotten after a day")
		}
		time.Sleep(historyTime)
		x.succeeded(other)
		if familiar(g) || !familiar(other) {
			t.Error("not forgotten after two days, or a pair with a second login is")
		}
	})
}

// TestKeyQueue: a network with many derivations waits for itself; another network waits for
// one of them.
func TestKeyQueue(t *testing.T) {
	w := newWorkers(&Manager{}, Derive, 1, 1)
	q := newKeyQueue(w, 1)
	var order []peernet.Network // owned by the only worker
	begin, done := make(chan struct{}), make(chan struct{})
	const networks, each = 3, 100
	job := func(from peernet.Network) {
		q.submit(from, func(*Turn) {
			<-begin
			if order = append(order, from); len(order) == networks*each {
				close(done)
			}
		})
	}
	for from := peernet.Network(1); from <= networks; from++ {
		for range each {
			job(from)
		}
	}
	if n := w.waiting(); n > networks {
		t.Errorf("%d derivations are in the queue of the workers", n)
	}
	if n := q.left(); n != networks*(each-1) {
		t.Errorf("%d derivations wait for others of their network, want %d", n, networks*(each-1))
	}
	close(begin)
	<-done
	w.close()
	for i, from := range order {
		if want := peernet.Network(i%networks + 1); from != want {
			t.Fatalf("derivation %d is for network %d, want %d", i, from, want)
		}
	}
	if len(q.networks) != 0 || q.left() != 0 {
		t.Errorf("%d networks are left", len(q.networks))
	}
}

// TestDeriveTakesTurns: derivations for changed passwords and new accounts take turns by
// network as those for logins do. Bug: clients of one network could occupy all workers that
// derive keys.
func TestDeriveTakesTurns(t *testing.T) {
	f := func(desc, addr string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := NewManager(Config{Domains: []string{"localhost"}, KeyWorkers: 2})
			defer m.Close()
			derive := func(addr string, f func()) {
				s := m.New(&pausing{addr: addr})
				s.cold.Store(nil) // as after binding
				s.offload(Derive, func(*Turn) { f() })
				synctest.Wait()
			}
			release := make(chan struct{})
			var begun, done atomic.Int32
			for range 3 {
				derive(addr, func() {
					begun.Add(1)
					<-release
					done.Add(1)
				})
			}
			if n := begun.Load(); n != 1 {
				t.Errorf("%s: %d derivations have started, want 1", desc, n)
			}
			other := false
			derive("198.51.100.7", func() { other = true })
			if !other {
				t.Errorf("%s: another network waits for them", desc)
			}
			close(release)
			synctest.Wait()
			if n := done.Load(); n != 3 || m.Counts().Waiting != 0 {
				t.Errorf("%s: %d derivations of 3 were done, %d jobs wait", desc, n, m.Counts().Waiting)
			}
		})
	}
	f("one network", "192.0.2.1")
	f("connections that are closed", "")
}
