// Package contacts makes accounts contacts of each other, to measure servers with
// rosters. The contacts of account i are the accounts with the closest numbers.
package contacts

import (
	"context"
	"fmt"

	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// Name is the name of every contact in the roster.
const Name = "A Friend"

// Neighbours returns the numbers of account i's contacts among n accounts: i-1, i+1, i-2
// and so on, modulo n. The relation is symmetric.
func Neighbours(i, n, contacts int) []int {
	all := make([]int, contacts)
	for d := range all {
		all[d] = (i + away(d) + n) % n
	}
	return all
}

// away returns the distance of the d-th neighbour: -1, 1, -2, 2, …
func away(d int) int {
	if d%2 == 0 {
		return -(d/2 + 1)
	}
	return d/2 + 1
}

// batch is the number of rosters changed in one transaction.
const batch = 500

// Fill writes the rosters of accounts user0@domain to user<n-1>@domain into the
// store that a URL names: subscriptions both ways. contacts must be even.
func Fill(ctx context.Context, url, domain string, n, contacts int) error {
	db, err := stores.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	user := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("user%d@%s", i, domain)) }
	versions := make([]int64, n)
	for i := range versions {
		r, err := db.Roster(ctx, user(i))
		if err != nil {
			return err
		}
		versions[i] = r.Version
	}
	for d := range contacts {
		for from := 0; from < n; from += batch {
			to := min(from+batch, n)
			var updates []store.RosterUpdate
			for i := from; i < to; i++ {
				updates = append(updates, store.RosterUpdate{Owner: user(i), Expect: versions[i],
					Put: &store.RosterItem{JID: user((i + away(d) + n) % n), Name: Name, Subscription: store.Both}})
			}
			now, err := db.ApplyRoster(ctx, updates)
			if err != nil {
				return err
			}
			copy(versions[from:to], now)
		}
	}
	return nil
}
