package router

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestRecentChanges compares what is remembered of changes, of one account and of all, with a
// simple list.
func TestRecentChanges(t *testing.T) {
	const total = 3*maxRecent + 17
	random := rand.New(rand.NewPCG(1, 2))
	var q recentChanges
	var all []recentChange // the newest first
	start := time.Now()
	expect := func(account string, now time.Time) (want []rosterChange) {
		for _, x := range all[:min(len(all), maxRecent)] {
			same := func(c rosterChange) bool {
				return c.account == x.account && c.contact == x.contact && c.blocklist == x.blocklist
			}
			if now.Sub(x.at) <= recentFor && (account == "" || x.account == account) && !slices.ContainsFunc(want, same) {
				want = append(want, x.rosterChange)
			}
		}
		slices.Reverse(want)
		return want
	}
	compare := func(account string, now time.Time) {
		t.Helper()
		if got, want := q.of(account, now), expect(account, now); !reflect.DeepEqual(got, want) {
			t.Fatalf("after %d changes, of %q: %d changes, want %d", len(all), account, len(got), len(want))
		}
	}
	noted := make([]recentChange, 0, total)
	for i := range total {
		now := start.Add(time.Duration(i) * recentFor / maxRecent / 2) // so all that fit are new enough
		account := fmt.Sprintf("a%d", random.IntN(20))
		if random.IntN(50) == 0 {
			account = fmt.Sprintf("once%d", i)
		}
		x := rosterChange{account: account, version: int64(i), blocklist: random.IntN(3) == 0}
		if !x.blocklist {
			x.contact = fmt.Sprintf("c%d", random.IntN(5))
		}
		q.note(x, now)
		noted = append(noted, recentChange{rosterChange: x, at: now})
		if i%(maxRecent/2) != 0 && i != total-1 {
			continue
		}
		all = slices.Clone(noted)
		slices.Reverse(all)
		for k := range 21 {
			compare(fmt.Sprintf("a%d", k), now)
			compare(fmt.Sprintf("a%d", k), now.Add(recentFor/2+recentFor/4))
		}
		compare(account, now)
		compare("", now)
		compare("", now.Add(recentFor-recentFor/100))
		compare("a0", now.Add(recentFor+1))
		if i > maxRecent {
			compare(noted[i-maxRecent].account, now) // of the change that was just forgotten
		}
	}
	if n := len(q.newest); n > maxRecent {
		t.Errorf("%d accounts are remembered", n)
	}
	kept := 0
	for account := range q.newest {
		if len(expect(account, noted[total-1].at)) > 0 {
			kept++
		}
	}
	if kept != len(q.newest) {
		t.Errorf("%d of %d accounts have a change that is remembered", kept, len(q.newest))
	}
}

// TestRecentMissed: pushes that were missed are noted once, however many nodes tell of them.
func TestRecentMissed(t *testing.T) {
	var q recentChanges
	first := rosterChange{account: "romeo@localhost", contact: "juliet@localhost", version: 1, missed: true}
	second := rosterChange{account: "romeo@localhost", contact: "friar@localhost", version: 2, missed: true}
	for i, want := range []bool{true, false, false} {
		for _, x := range []rosterChange{first, second} {
			if got := q.note(x, time.Now()); got != want {
				t.Errorf("time %d, %s: %v, want %v", i, x.contact, got, want)
			}
		}
	}
}
