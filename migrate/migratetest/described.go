package migratetest

import (
	"fmt"
	"slices"
	"time"

	"roost/migrate"
)

// Described returns what an account has, line by line, sorted.
func Described(a *migrate.Account) (got []string) {
	for _, it := range a.Roster {
		slices.Sort(it.Groups)
		got = append(got, fmt.Sprintf("%v %q %q %v %v %v", it.JID, it.Name, it.Groups, it.Subscription, it.Ask, it.Approved))
	}
	for _, r := range a.Requests {
		got = append(got, r.Received.Format(time.RFC3339)+" "+string(r.Stanza))
	}
	for _, m := range a.Messages {
		got = append(got, m.Received.Format(time.RFC3339Nano)+" "+string(m.Stanza))
	}
	for _, b := range a.Blobs {
		got = append(got, b.Kind+" "+b.Key+" "+string(b.Value))
	}
	if a.Last != nil {
		got = append(got, a.Last.At.Format(time.RFC3339)+" "+string(a.Last.Status))
	}
	slices.Sort(got)
	return got
}
