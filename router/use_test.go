package router_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/memstore"
)

// TestUseNoted: the day of an account's last use is written when a client logs in, once a day
// and together with others; and about once in a week while a client stays connected.
func TestUseNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg xmpptest.Config
		cfg.Location = memstore.New()
		s, st := slowServer(t, cfg)
		romeo := jid.MustParse("romeo@localhost")
		used := func(desc string, want time.Time, calls int64) {
			t.Helper()
			s.Router.FlushPending(t.Context())
			state, err := s.Store.LoginState(t.Context(), romeo)
			if err != nil || state.Used != store.DayOf(want) {
				t.Errorf("%s: the day is %d, want %d, %v", desc, state.Used, store.DayOf(want), err)
			}
			if n := st.Calls("NoteUse"); n != calls {
				t.Errorf("%s: %d writes, want %d", desc, n, calls)
			}
		}
		for i := range 10 {
			loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader)
			loginAs(t, s, "juliet", fmt.Sprint(i), plainHeader)
		}
		used("after the first logins", time.Now(), 1)
		for i := range 3 {
			leave(loginAs(t, s, "romeo", fmt.Sprint("again", i), plainHeader))
			used("while the roster is in memory", time.Now(), 1)
		}
		time.Sleep(time.Hour) // the rosters are not in memory any more
		for i := range 10 {
			leave(loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader))
			time.Sleep(time.Minute)
		}
		used("on the same day", time.Now(), 1)
		time.Sleep(48 * time.Hour)
		loginAs(t, s, "romeo", "late", plainHeader)
		used("after two days", time.Now(), 2)

		for range 4 * 7 * 24 {
			time.Sleep(time.Hour)
			s.Router.NoteUses(time.Now())
		}
		s.Router.FlushPending(t.Context())
		state, err := s.Store.LoginState(t.Context(), romeo)
		if err != nil || time.Since(state.Used.End()) > 7*24*time.Hour {
			t.Errorf("an account that is connected was used on day %d last, today is %d, %v", state.Used, store.DayOf(time.Now()), err)
		}
		if n := st.Calls("NoteUse"); n < 6 || n > 2+2*4 { // two accounts, four weeks
			t.Errorf("%d writes in four weeks, want about 8", n)
		}
	})
}
