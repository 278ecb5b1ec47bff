package migrate

import (
	"time"

	"roost/store"
)

// UsedOn sets the day on which the account was used last, in the form 2006-01-02.
func (b *Builder) UsedOn(at, day string) {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil || t.Year() < 1970 {
		b.Skip(at, "the day %q of its last use is not valid", clip(day))
		return
	}
	b.usedAt(store.DayOf(t).End())
}

// usedAt records a use of the account.
func (b *Builder) usedAt(t time.Time) {
	if t.After(b.Used) {
		b.Used = t
	}
}

// UsedDay returns the day of an account's last use, the zero time if that is not later than
// when it was last online.
func UsedDay(d *store.AccountData) time.Time {
	if d.Used.IsZero() || d.Last != nil && !d.Used.After(d.Last.At) {
		return time.Time{}
	}
	return d.Used.UTC().Truncate(24 * time.Hour)
}

// Uses returns what store.Activity.NoteUse has to record for accounts that were created.
func Uses(all []store.AccountData, created []bool) (uses []store.AccountUse) {
	for i := range all {
		if day := UsedDay(&all[i]); created[i] && !day.IsZero() {
			uses = append(uses, store.AccountUse{Owner: all[i].JID, Day: store.DayOf(day)})
		}
	}
	return uses
}
