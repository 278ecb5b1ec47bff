package router

import (
	"hash/crc32"
	"runtime"
	"time"

	"roost/session"
	"roost/store"
)

// The store knows on which day each account was last used, so that an operator can find unused
// ones. The day is written once a day at most, together with those of other accounts: when a
// client binds a resource, and about once a week while one is connected, so that the account
// of a device that never disconnects does not look unused after a crash.

// noteUse notes that an account is used by a session, unless that was noted today. ro is the
// account's roster, which knows; nil: it is noted in any case.
func (r *Router) noteUse(s *session.Session, ro *Roster) {
	today := store.DayOf(time.Now())
	if ro != nil {
		if store.Day(ro.used.Load()) >= today {
			return
		}
		ro.used.Store(int64(today))
	}
	r.lastActivity.addUse(store.AccountUse{Owner: s.JID().Bare(), Day: today, Event: s.Event()})
}

// usePeriod is the time, in hours, in which NoteUses notes all accounts that are connected.
const usePeriod = 7 * 24

// NoteUses notes that accounts which are connected are used: a different part of them in each
// hour of a week. It is to be called once an hour.
func (r *Router) NoteUses(now time.Time) {
	hour := uint32(now.Unix() / 3600 % usePeriod)
	n := 0
	r.sessions.Each(func(s *session.Session) bool {
		if n++; n%1024 == 0 {
			runtime.Gosched()
		}
		if s.Bound() && crc32.ChecksumIEEE([]byte(s.BareJID()))%usePeriod == hour {
			r.noteUse(s, nil)
		}
		return r.ctx.Err() == nil
	})
}
