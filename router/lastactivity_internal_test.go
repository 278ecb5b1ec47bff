package router

import (
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
	"roost/store"
)

// TestLastActivityHeard: what another node has announced is found until that node must have
// written it, unless something newer is known or the account was deleted.
func TestLastActivityHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
		var w lastActivity
		hear := func(owner jid.JID, status string) {
			w.hear(store.LastActivity{Owner: owner, At: time.Now(), Status: []byte(status)})
		}
		expect := func(owner jid.JID, want string) {
			t.Helper()
			synctest.Wait()
			if last, ok := w.find(owner); string(last.Status) != want || ok != (want != "") {
				t.Errorf("found %t %q, want %q", ok, last.Status, want)
			}
		}
		hear(romeo, "first")
		expect(romeo, "first")
		expect(juliet, "")
		time.Sleep(heardTime - time.Nanosecond)
		hear(juliet, "late")
		time.Sleep(heardTime)
		expect(romeo, "first")
		expect(juliet, "late")
		w.writing = map[jid.JID]store.LastActivity{juliet: {Owner: juliet, At: time.Now(), Status: []byte("here")}}
		expect(juliet, "here")
		time.Sleep(time.Nanosecond)
		hear(juliet, "elsewhere")
		expect(juliet, "elsewhere")
		w.forget(juliet)
		expect(juliet, "")
		time.Sleep(2 * heardTime)
		expect(romeo, "")
		if w.heard != nil || w.heardBefore != nil {
			t.Error("the maps are kept")
		}
		hear(romeo, "again")
		time.Sleep(3 * heardTime)
		expect(romeo, "")
	})
}
