package router_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// changeWhileSaved makes romeo's phone request his roster, and saves its session. Then a client on
// another node removes nurse and adds friar, and that node dies: nobody remembers it.
func (n *savedNodes) changeWhileSaved(changes ...string) {
	n.t.Helper()
	n.saveInterested()
	tablet := goOnline(n.t, n.b, "romeo", "tablet")
	for _, change := range changes {
		tablet.say(change, "type='result'")
	}
	n.b.Node().Kill()
}

// saveInterested stops a, after romeo's phone has requested his roster.
func (n *savedNodes) saveInterested() {
	n.t.Helper()
	phone := resumeAt(n.t, n.a, "romeo", n.id, "0")
	phone.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	_ = phone.conn.Close()
	n.stop()
}

// TestSavedForgotten: another node has changed a roster while a session waits in the store, and
// nobody remembers it when the session is resumed, on the node that has saved it or another one. The
// client is pushed what has changed, once.
func TestSavedForgotten(t *testing.T) {
	for _, node := range []string{"a", "c"} {
		t.Run(node, func(t *testing.T) {
			n := newSavedNodes(t)
			n.changeWhileSaved(removeNurse, addFriar)
			c := n.start(node)
			romeo := n.request(c)
			romeo.await("<resumed ")
			romeo.awaitAll(0, "<item jid='nurse@localhost' subscription='remove'/>", "Laurence")
			romeo.sync()
			if got := strings.Count(romeo.got, "id='push-"); got != 2 {
				t.Errorf("%d pushes, want 2: %s", got, romeo.got)
			}
		})
	}
}

// TestSavedUnchanged: nothing is pushed if the roster has not changed, and a node that starts does
// not ask for the changes of each roster.
func TestSavedUnchanged(t *testing.T) {
	n := newSavedNodes(t)
	n.saveInterested()
	n.a = n.start("a")
	romeo := n.request(n.a)
	romeo.await("<resumed ")
	xmpptest.Eventually(t, "the node has compared the versions", func() bool { return n.onA.Calls("RosterVersions") >= 2 }) // once at the stop
	romeo.sync()
	if strings.Contains(romeo.got, "id='push-") || n.onA.Calls("RosterChanges") != 0 {
		t.Errorf("%s; the changes of rosters were read %d times", romeo.got, n.onA.Calls("RosterChanges"))
	}
}

// TestSavedWithoutStore: the store cannot be read when the session is back. The client is pushed what
// has changed when it can be.
func TestSavedWithoutStore(t *testing.T) {
	for _, op := range []string{"RosterVersions", "RosterChanges"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newSavedNodes(t)
				n.changeWhileSaved(addFriar)
				n.onA.SetFault(func(o string) error {
					if o == op {
						return errors.New("no connection")
					}
					return nil
				})
				before := n.onA.Calls(op)
				n.a = n.start("a")
				romeo := n.request(n.a)
				romeo.await("<resumed ")
				xmpptest.Eventually(t, "the store to be read in vain", func() bool { return n.onA.Calls(op) > before })
				romeo.sync()
				if strings.Contains(romeo.got, "Laurence") {
					t.Error("the client has the change although the store cannot be read: the test does not test anything")
				}
				n.onA.SetFault(nil)
				romeo.awaitAll(0, "Laurence")
			})
		})
	}
}

// TestSavedLongList: more has been removed from a roster than the store remembers. The client is
// pushed what was added or changed.
func TestSavedLongList(t *testing.T) {
	n := newSavedNodes(t)
	n.saveInterested()
	romeo := jid.MustParse("romeo@localhost")
	ro, err := n.b.Store.Roster(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(u store.RosterUpdate) {
		t.Helper()
		u.Owner, u.Expect = romeo, ro.Version
		versions, err := n.b.Store.ApplyRoster(t.Context(), []store.RosterUpdate{u})
		if err != nil {
			t.Fatal(err)
		}
		ro.Version = versions[0]
	}
	for i := range 100 {
		contact := jid.MustParse(fmt.Sprintf("c%d@localhost", i))
		apply(store.RosterUpdate{Put: &store.RosterItem{JID: contact}})
		apply(store.RosterUpdate{Remove: contact})
	}
	apply(store.RosterUpdate{Put: &store.RosterItem{JID: jid.MustParse("friar@localhost"), Name: "Laurence"}})
	client := n.request(n.start("c"))
	client.await("<resumed ")
	client.awaitAll(0, "Laurence")
	client.sync()
	if got := strings.Count(client.got, "id='push-"); got != 1 {
		t.Errorf("%d pushes, want 1", got)
	}
}

// TestPushMissed: a push is on its way to a node while that saves a session whose client has not the
// change: either the node gets it when the session is written, or never. When the session is resumed,
// on another node or the same one, the client is pushed the change, once. The node that has made the
// change is gone by then.
func TestPushMissed(t *testing.T) {
	for _, node := range []string{"a", "c"} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, never: %v", node, late), func(t *testing.T) {
				n := newSavedNodes(t)
				n.start("d") // so that another node knows when a or c starts
				tablet := goOnline(t, n.b, "romeo", "tablet")
				phone := resumeAt(t, n.a, "romeo", n.id, "0")
				phone.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
				_ = phone.conn.Close()
				n.cluster.Wait()
				if late {
					n.a.Node().Hold()
					tablet.say(addFriar, "type='result'")
				} else {
					release := n.b.Node().HoldSent()
					tablet.say(addFriar, "type='result'")
					n.onA.SetFault(func(op string) error {
						if op == "PutSessions" {
							release()
							n.cluster.Wait()
						}
						return nil
					})
				}
				n.stop()
				n.cluster.Wait()
				n.b.Node().Kill()
				n.onA.SetFault(nil)
				s := n.start(node)
				n.cluster.Wait()
				romeo := n.request(s)
				romeo.await("<resumed ")
				romeo.awaitAll(0, "Laurence")
				n.cluster.Wait()
				romeo.sync()
				if got := strings.Count(romeo.got, "Laurence"); got != 1 {
					t.Errorf("%d pushes, want 1: %s", got, romeo.got)
				}
			})
		}
	}
}
