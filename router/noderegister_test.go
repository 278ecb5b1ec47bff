package router_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
)

// bindAs requests a resource, and returns without waiting for it.
func bindAs(t *testing.T, s *xmpptest.Server, user, resource string) *rawClient {
	t.Helper()
	c := dialRaw(t, s)
	authenticate(c, user, plainHeader)
	c.write("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>")
	return c
}

// TestMaxResourcesOnNodes: an account has as many resources as it may have, on several nodes. A new
// client is refused, as RFC 6120 section 7.6.2.1 permits
// (https://www.rfc-editor.org/rfc/rfc6120#section-7.6.2.1), unless the client of one of them is not
// connected: that one ends, and not more than that, on whatever node.
// Bug: a client that could not resume its session was locked out until that was over.
func TestMaxResourcesOnNodes(t *testing.T) {
	for lost := range 3 {
		t.Run(fmt.Sprintf("on node %d", lost), func(t *testing.T) {
			cluster, nodes := newCluster(t, 3, xmpptest.Config{Session: session.Config{MaxResources: 3}})
			var clients []*rawClient
			for i, s := range nodes {
				c := loginAs(t, s, "juliet", fmt.Sprint(i), plainHeader)
				c.enable()
				clients = append(clients, c)
			}
			refused := bindAs(t, nodes[0], "juliet", "new")
			refused.await("<resource-constraint ")
			_ = clients[lost].conn.Close()
			xmpptest.Eventually(t, "the session waits", func() bool { return nodes[lost].Sessions.Detached() == 1 })
			bindAs(t, nodes[0], "juliet", "new").await("<jid>juliet@localhost/new</jid>")
			xmpptest.Eventually(t, "the session that waited ends", func() bool { return nodes[lost].Sessions.Detached() == 0 })
			bindAs(t, nodes[0], "juliet", "more").await("<resource-constraint ")
			cluster.Wait()
			if got := len(cluster.Places("juliet@localhost")); got != 3 {
				t.Errorf("%d resources in the directory, want 3", got)
			}
			for i, c := range clients {
				if i != lost && strings.Contains(c.ask(""), "<conflict") {
					t.Errorf("client %d lost its session", i)
				}
			}
		})
	}
}

// TestConflictWithWaiting: the resource that a client requests is that of a session on another node,
// which a policy protects. It does not protect one whose client is not connected.
func TestConflictWithWaiting(t *testing.T) {
	for _, policy := range []session.ConflictPolicy{session.RefuseNew, session.RenameNew} {
		_, nodes := newCluster(t, 2, xmpptest.Config{Session: session.Config{Conflict: policy}})
		old := loginAs(t, nodes[0], "juliet", "r", plainHeader)
		old.enable()
		got := bindAs(t, nodes[1], "juliet", "r")
		got.await("</iq>")
		if strings.Contains(got.got, "<jid>juliet@localhost/r</jid>") {
			t.Errorf("policy %v: %s", policy, got.got)
		}
		_ = old.conn.Close()
		xmpptest.Eventually(t, "the session waits", func() bool { return nodes[0].Sessions.Detached() == 1 })
		bindAs(t, nodes[1], "juliet", "r").await("<jid>juliet@localhost/r</jid>")
		xmpptest.Eventually(t, "the session that waited ends", func() bool { return nodes[0].Sessions.Detached() == 0 })
	}
}

// TestKickLimit: a node does not reply, as one that has died within its lease. Only some of the clients
// that take their resources from it wait; the workers are for others, too.
func TestKickLimit(t *testing.T) {
	router.WaitForKicks(t)
	cluster, nodes := newCluster(t, 2, xmpptest.Config{Session: session.Config{Workers: 2}})
	goOnline(t, nodes[0], "romeo", "r")
	goOnline(t, nodes[0], "juliet", "r")
	cluster.Wait()
	release := nodes[0].Node().Hold()
	first := bindAs(t, nodes[1], "romeo", "r")
	xmpptest.Eventually(t, "the first client waits", func() bool { return nodes[1].Router.Kicking() == 1 })
	bindAs(t, nodes[1], "juliet", "r").await("<jid>juliet@localhost/r</jid>")
	if nodes[1].Router.Kicking() != 1 {
		t.Error("the second client has waited for as long as the first")
	}
	release()
	first.await("<jid>romeo@localhost/r</jid>")
}

// TestKickEachOther: clients of two nodes take their resources from each other, and all workers by which
// they bind wait. The nodes reply nevertheless.
func TestKickEachOther(t *testing.T) {
	router.WaitForKicks(t)
	cluster, nodes := newCluster(t, 2, xmpptest.Config{Session: session.Config{Workers: 1}})
	goOnline(t, nodes[0], "romeo", "r")
	goOnline(t, nodes[1], "juliet", "r")
	cluster.Wait()
	releases := []func(){nodes[0].Node().Hold(), nodes[1].Node().Hold()}
	juliet, romeo := bindAs(t, nodes[0], "juliet", "r"), bindAs(t, nodes[1], "romeo", "r")
	for _, n := range nodes {
		xmpptest.Eventually(t, "the client waits", func() bool { return n.Router.Kicking() == 1 })
	}
	for _, release := range releases {
		release()
	}
	juliet.await("<jid>juliet@localhost/r</jid>")
	romeo.await("<jid>romeo@localhost/r</jid>")
}

// TestKickUnknown: a client that cannot wait for the end of a session whose client is not connected is
// refused, and ends none: otherwise it would end one on each node.
func TestKickUnknown(t *testing.T) {
	router.WaitForKicks(t)
	cluster, nodes := newCluster(t, 2, xmpptest.Config{Session: session.Config{Workers: 2, MaxResources: 1}})
	goOnline(t, nodes[0], "romeo", "r")
	old := loginAs(t, nodes[0], "juliet", "r", plainHeader)
	old.enable()
	_ = old.conn.Close()
	xmpptest.Eventually(t, "the session waits", func() bool { return nodes[0].Sessions.Detached() == 1 })
	cluster.Wait()
	release := nodes[0].Node().Hold()
	first := bindAs(t, nodes[1], "romeo", "r")
	xmpptest.Eventually(t, "the first client waits", func() bool { return nodes[1].Router.Kicking() == 1 })
	bindAs(t, nodes[1], "juliet", "new").await("<resource-constraint ")
	release()
	first.await("<jid>romeo@localhost/r</jid>")
	cluster.Wait()
	if nodes[0].Sessions.Detached() != 1 {
		t.Error("the client was refused, and has ended the session")
	}
}

// TestKickLate: a node learns that a session has been replaced when the new one is available, because
// its client has not waited for the end of the earlier one. Nobody takes that end for the end of the
// new one.
// Bug: contacts saw the new session leave.
func TestKickLate(t *testing.T) {
	router.WaitForKicks(t)
	cluster, nodes := newCluster(t, 2, xmpptest.Config{Session: session.Config{Workers: 2}})
	befriend(t, nodes[0], jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
	old, juliet := goOnline(t, nodes[0], "romeo", "r"), goOnline(t, nodes[1], "juliet", "j")
	juliet.await("<presence from='romeo@localhost/r'")
	goOnline(t, nodes[0], "paris", "r")
	cluster.Wait()
	release := nodes[0].Node().Hold()
	bindAs(t, nodes[1], "paris", "r")
	xmpptest.Eventually(t, "as many wait as may wait", func() bool { return nodes[1].Router.Kicking() == 1 })
	goOnline(t, nodes[1], "romeo", "r")
	juliet.await("<presence from='romeo@localhost/r'")
	release()
	old.await("<conflict ")
	xmpptest.Eventually(t, "the earlier session has ended", func() bool { return nodes[0].Sessions.Counts().Bound == 0 })
	if juliet.has(cluster, "type='unavailable'") {
		t.Errorf("the contact takes the new session for the old one: %s", juliet.got)
	}
}

// TestKickTooLate: a node learns that a session has been replaced when the client of the new one has
// waited for the end of the earlier one in vain. Contacts on each node see the new session in the end.
// If the directory says that it is available, nobody sees a session leave.
// Bug: contacts saw the new session leave.
func TestKickTooLate(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("available in the directory: %v", known), func(t *testing.T) {
			router.GiveUpKicks(t)
			cluster, nodes := newCluster(t, 3, xmpptest.Config{})
			contacts := make([]*rawClient, len(nodes))
			for i, name := range []string{"juliet", "nurse", "mercutio"} {
				befriend(t, nodes[0], jid.MustParse(name+"@localhost"), jid.MustParse("romeo@localhost"))
				contacts[i] = goOnline(t, nodes[i], name, "c")
			}
			old := goOnline(t, nodes[0], "romeo", "r")
			cluster.Wait()
			release, releaseUpdates := nodes[0].Node().Hold(), func() {}
			romeo := loginAs(t, nodes[1], "romeo", "r", plainHeader)
			if !known {
				releaseUpdates = cluster.HoldUpdates()
			}
			romeo.say("<presence/>", "<presence from='romeo@localhost/r'")
			release()
			old.await("<conflict ")
			cluster.Wait()
			for i, c := range append(contacts, romeo) {
				c.sync()
				all := presencesOf(c, "romeo@localhost/r")
				if len(all) == 0 || !all[len(all)-1] || known && slices.Contains(all, false) {
					t.Errorf("client %d sees %v", i, all)
				}
			}
			releaseUpdates()
		})
	}
}

// TestReplacedAndGone: a client takes its resource from another node and leaves without having become
// available. Its contacts see it leave, although that node has died, or nobody has waited for its reply.
// So they do if it does the same once more on a third node.
// Bug: to them, it was online until its next presence.
func TestReplacedAndGone(t *testing.T) {
	for _, dies := range []bool{true, false} {
		for _, more := range []bool{false, true} {
			t.Run(fmt.Sprintf("the node dies: %v, once more: %v", dies, more), func(t *testing.T) {
				router.WaitForKicks(t)
				cluster, nodes := newCluster(t, 3, xmpptest.Config{Session: session.Config{Workers: 2}})
				befriend(t, nodes[1], jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
				goOnline(t, nodes[0], "romeo", "r")
				goOnline(t, nodes[0], "paris", "r")
				juliet := goOnline(t, nodes[2], "juliet", "j")
				juliet.await("<presence from='romeo@localhost/r'")
				cluster.Wait()
				release := nodes[0].Node().Hold()
				if !dies { // romeo is one too many to wait
					bindAs(t, nodes[1], "paris", "r")
					xmpptest.Eventually(t, "as many wait as may wait", func() bool { return nodes[1].Router.Kicking() == 1 })
				}
				romeo := bindAs(t, nodes[1], "romeo", "r")
				xmpptest.Eventually(t, "the session is replaced", func() bool {
					return slices.ContainsFunc(cluster.Places("romeo@localhost"), func(p router.Place) bool { return p.Node == nodes[1].Node().Self() })
				})
				if dies {
					nodes[0].Node().Kill()
				}
				romeo.await("<jid>romeo@localhost/r</jid>")
				release()
				cluster.Wait()
				if juliet.sync(); slices.Contains(presencesOf(juliet, "romeo@localhost/r"), false) {
					t.Error("the contact sees the client leave before it has")
				}
				if more {
					romeo = loginAs(t, nodes[2], "romeo", "r", plainHeader)
				}
				leave(romeo)
				xmpptest.Eventually(t, "the contact sees the client leave", func() bool {
					juliet.sync()
					all := presencesOf(juliet, "romeo@localhost/r")
					return !all[len(all)-1]
				})
			})
		}
	}
}

// TestReplacedAndAvailable: the new session is available, and its end is announced once, as any other.
func TestReplacedAndAvailable(t *testing.T) {
	router.GiveUpKicks(t)
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	befriend(t, nodes[1], jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
	goOnline(t, nodes[0], "romeo", "r")
	juliet := goOnline(t, nodes[1], "juliet", "j")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()
	release := nodes[0].Node().Hold()
	romeo := goOnline(t, nodes[1], "romeo", "r")
	release()
	cluster.Wait() // the earlier session ends
	romeo.write("<presence type='unavailable'/>")
	leave(romeo)
	xmpptest.Eventually(t, "the session ends", func() bool { return nodes[1].Sessions.Counts().Bound == 1 })
	juliet.sync()
	if all := presencesOf(juliet, "romeo@localhost/r"); !slices.Equal(all, []bool{true, true, false}) {
		t.Errorf("the contact sees %v", all)
	}
}

// diedNodes reports the node of each resource that is replaced as dead.
type diedNodes struct{ *memnodes.Node }

func (n *diedNodes) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	got, err := n.Node.Register(ctx, account, resource, r)
	got.Died, got.Replaced = got.Replaced, router.Place{}
	return got, err
}

// TestReplacedDead is TestReplacedAndGone for a node of which it is known that it has died, but whose
// resources are not removed from the directory yet.
func TestReplacedDead(t *testing.T) {
	cluster, nodes := newCluster(t, 2, xmpptest.Config{})
	nodes[1].Router.Join(&diedNodes{nodes[1].Node()})
	befriend(t, nodes[1], jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
	goOnline(t, nodes[0], "romeo", "r")
	juliet := goOnline(t, nodes[1], "juliet", "j")
	juliet.await("<presence from='romeo@localhost/r'")
	cluster.Wait()
	leave(loginAs(t, nodes[1], "romeo", "r", plainHeader))
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
}
