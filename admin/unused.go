package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

// MinUnusedDays is the least number of days for which an account must not have been used to be
// found: devices that stay connected are noted once a week.
const MinUnusedDays = 30

// maxUnusedDays is a limit for mistakes in writing.
const maxUnusedDays = 36500

// UseRule selects accounts by when they were used last. The zero value selects none.
type UseRule struct {
	Unused int // those that were used, but not in this number of days; 0: none of them
	Never  int // those that were never used and are older than this number of days; 0: none of them
}

// IsZero reports whether the rule selects none.
func (u UseRule) IsZero() bool { return u == UseRule{} }

// times returns the times before which accounts must have been used last, or created, to be
// selected; a zero time selects none.
func (u UseRule) times(now time.Time) (unused, never time.Time) {
	if u.Unused > 0 {
		unused = now.AddDate(0, 0, -u.Unused)
	}
	if u.Never > 0 {
		never = now.AddDate(0, 0, -u.Never)
	}
	return unused, never
}

// Selects reports whether the rule selects an account that a list of the store has.
func (u UseRule) Selects(a *store.Account, now time.Time) bool { return a.IsUnused(u.times(now)) }

// DeleteUnused deletes an account if the rule selects it, and otherwise returns
// store.ErrConflict.
func (u UseRule) DeleteUnused(ctx context.Context, s store.Store, j jid.JID) error {
	unused, never := u.times(time.Now())
	return s.DeleteUnused(ctx, j, unused, never)
}

var useParams = []param{
	{"unused_days", "integer", "Accounts that were used, but not in the last so many days, 30 or more."},
	{"never_used_days", "integer", "Accounts that were never used and are older than so many days, 30 or more. With unused_days, both kinds."},
}

// useRule returns the rule that the parameters of a request are.
func (r *request) useRule() (u UseRule, err error) {
	for name, days := range map[string]*int{"unused_days": &u.Unused, "never_used_days": &u.Never} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		if *days, err = strconv.Atoi(text); err != nil || *days < MinUnusedDays || *days > maxUnusedDays {
			return UseRule{}, badField(name, "", "%s must be %d to %d, not %q", name, MinUnusedDays, maxUnusedDays, text)
		}
	}
	return u, nil
}

// unusedScan is how many accounts a request for unused ones looks at: a page may have fewer than
// its limit.
const unusedScan = 10000

// findUnused is findAccounts for a filter with a UseRule. next is the last account that it has
// looked at if there may be more.
func (s *Server) findUnused(ctx context.Context, f *accountFilter, after jid.JID, limit int) (found []store.Account, next jid.JID, err error) {
	all := *f
	all.use = UseRule{}
	now := time.Now()
	for scanned := 0; scanned < unusedScan; {
		page, err := s.findAccounts(ctx, &all, after, maxLimit)
		if err != nil {
			return nil, jid.JID{}, err
		}
		for i := range page {
			after = page[i].JID
			if f.use.Selects(&page[i], now) && s.connected(after.String()) == 0 {
				if found = append(found, page[i]); len(found) == limit {
					return found, after, nil
				}
			}
		}
		if scanned += len(page); len(page) < maxLimit {
			return found, jid.JID{}, nil
		}
	}
	return found, after, nil
}

// deleteIfUnused deletes an account if a rule selects it and no client of it is connected, on any
// node. A client that connects meanwhile uses the account when that is stored: about a second
// later.
func (s *Server) deleteIfUnused(ctx context.Context, u UseRule, j jid.JID) error {
	connected, err := s.b.Connected(ctx, j)
	if err != nil {
		return err
	}
	if connected {
		err = store.ErrConflict
	} else {
		err = u.DeleteUnused(ctx, s.b.Store, j)
	}
	if errors.Is(err, store.ErrConflict) {
		return &api.Error{Status: http.StatusConflict, Code: api.CodeConflict, Message: j.String() + " is used, or was used since; it was not deleted"}
	}
	return accountError(j, err)
}
