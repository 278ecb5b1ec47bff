package router_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// TestConflictsAreRetried: what another process has changed in the meantime is read again,
// and the client does not notice; if conflicts never end, the client is told to retry
// later.
func TestConflictsAreRetried(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 9} {
		s, st := slowServer(t, xmpptest.Config{})
		romeo := loginRaw(t, s, "romeo", plainHeader)
		romeo.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
		romeo.say("<presence/>", "<presence ")
		juliet := loginRaw(t, s, "juliet", plainHeader)
		juliet.say("<presence/>", "<presence ")
		f := func(desc, stanza, done string) {
			t.Helper()
			var left atomic.Int64
			left.Store(int64(n))
			st.SetFault(func(method string) error {
				if method != "ApplyRoster" {
					return nil
				}
				switch k := left.Add(-1); {
				case k < 0:
					return nil
				case k%2 == 1: // a contact that has been deleted
					return &store.RosterError{Index: 1, Owner: jid.MustParse("juliet@localhost"), Err: store.ErrNotFound}
				}
				return fmt.Errorf("injected: %w", &store.RosterError{Owner: jid.MustParse("romeo@localhost"), Err: store.ErrConflict})
			})
			defer st.SetFault(nil)
			romeo.got, romeo.used = "", 0
			before := st.Calls("ApplyRoster")
			romeo.write(stanza)
			romeo.sync()
			calls := int(st.Calls("ApplyRoster") - before)
			if n < 5 {
				if calls != n+1 || strings.Contains(romeo.got, "type='error'") || strings.Count(romeo.got, done) != 1 {
					t.Errorf("%s after %d conflicts: %d calls, %s; want %d, and %s once", desc, n, calls, romeo.got, n+1, done)
				}
			} else if calls != 5 || strings.Count(romeo.got, "<error type='wait'><resource-constraint ") != 1 {
				t.Errorf("%s with endless conflicts: %d calls, %s", desc, calls, romeo.got)
			}
		}
		f("a new item", "<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "<item jid='a@example.com' ")
		f("a subscription", "<presence type='subscribe' to='juliet@localhost'/>", "ask='subscribe'")
		juliet.sync()
		if got := strings.Count(juliet.got, "type='subscribe'"); got != min(1, max(0, 5-n)) {
			t.Errorf("after %d conflicts %d requests were delivered: %s", n, got, juliet.got)
		}
		st.SetFault(nil)
		romeo.say("<iq type='set' id='y'><query xmlns='jabber:iq:roster'><item jid='b@example.com'/></query></iq>", "id='y'")
		f("an item that is removed", "<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='b@example.com' subscription='remove'/></query></iq>", "subscription='remove'")
	}
}

// TestRosterChangedByAnotherProcess: a change based on a roster in memory keeps what
// another process has added to the roster in the store.
func TestRosterChangedByAnotherProcess(t *testing.T) {
	ctx := context.Background()
	s := xmpptest.NewServer(t, xmpptest.Config{})
	own := jid.MustParse("romeo@localhost")
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
	ro, err := s.Store.Roster(ctx, own)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Store.ApplyRoster(ctx, []store.RosterUpdate{{Owner: own, Expect: ro.Version, Put: &store.RosterItem{JID: jid.MustParse("other@example.com")}}})
	if err != nil {
		t.Fatal(err)
	}
	romeo.say("<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "<iq type='result' id='x'")
	romeo.sync()
	romeo.say("<iq type='get' id='roster2'><query xmlns='jabber:iq:roster'/></iq>", "id='roster2'")
	romeo.await("<item jid='a@example.com' subscription='none'/><item jid='other@example.com' subscription='none'/>")
}
