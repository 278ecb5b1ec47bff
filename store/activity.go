package store

import (
	"context"
	"time"

	"roost/jid"
)

// Activity stores when accounts were last online (XEP-0012, RFC 6121 section 4.3.2).
type Activity interface {
	// SetLastActivity records, in one transaction, when the last resource of each
	// account left. It skips accounts that do not exist or were created after
	// LastActivity.Event.
	SetLastActivity(ctx context.Context, batch []LastActivity) error

	// LastActivity returns the last record of an account, or ErrNotFound.
	LastActivity(ctx context.Context, owner jid.JID) (LastActivity, error)

	// NoteUse records, in one transaction, on which day each account was used, unless a later
	// day is already recorded. It skips accounts that do not exist or were created after
	// AccountUse.Event.
	NoteUse(ctx context.Context, batch []AccountUse) error
}

// LastActivity is when an account was last online.
type LastActivity struct {
	Owner  jid.JID
	At     time.Time // UTC, to the second
	Status []byte    // the text of its last unavailable presence, or nothing
	Event  int64     // for SetLastActivity: an event of the account that is meant; 0 means any account
}

// AccountUse says that an account was used on a day: one of its clients was connected.
type AccountUse struct {
	Owner jid.JID
	Day   Day
	Event int64 // an event of the account that is meant; 0 means any account
}

// Day is the number of a day in UTC since January 1, 1970.
type Day int64

// DayOf returns the day of a time.
func DayOf(t time.Time) Day { return Day(t.Unix() / (24 * 60 * 60)) }

// End returns the last second of the day, or the zero time for day 0.
func (d Day) End() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(int64(d+1)*24*60*60-1, 0).UTC()
}

// LastUse returns the value of Account.Used that follows from the time of the last activity, in
// Unix seconds or 0 if there was none, and the last day of use.
func LastUse(at int64, day Day) time.Time {
	used := day.End()
	if at != 0 {
		if t := time.Unix(at, 0).UTC(); t.After(used) {
			used = t
		}
	}
	return used
}
