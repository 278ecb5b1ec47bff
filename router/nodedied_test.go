package router_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestDiedWithoutStore: a node dies while the store cannot be read. Contacts are told when it
// can be read again.
func TestDiedWithoutStore(t *testing.T) { synctest.Test(t, testDiedWithoutStore) }

func testDiedWithoutStore(t *testing.T) {
	var faults faultstore.Faults
	cluster, location := memnodes.New(), memstore.New()
	a := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location, Store: faults.Options()})
	b := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster, Location: location})
	juliet := jid.MustParse("juliet@localhost")
	befriend(t, a, juliet, jid.MustParse("romeo@localhost"))
	befriend(t, a, juliet, jid.MustParse("nurse@localhost"))
	client := goOnline(t, a, "juliet", "r")
	goOnline(t, b, "romeo", "r")
	client.await("from='romeo@localhost/r'")
	goOnline(t, b, "nurse", "r")
	client.await("from='nurse@localhost/r'")
	faults.SetFault(func(op string) error {
		if op == "RostersOf" {
			return errors.New("no connection")
		}
		return nil
	})
	before := faults.Calls("RostersOf")
	b.Node().Kill()
	xmpptest.Eventually(t, "the rosters to be read in vain, twice", func() bool { return faults.Calls("RostersOf") >= before+3 })
	if client.has(cluster, "type='unavailable'") {
		t.Error("a contact was told although the store cannot be read: the test does not test anything")
	}
	faults.SetFault(nil)
	xmpptest.Eventually(t, "both have left", func() bool { // in any order
		client.sync()
		return strings.Contains(client.got, "<presence type='unavailable' from='romeo@localhost/r'") && strings.Contains(client.got, "<presence type='unavailable' from='nurse@localhost/r'")
	})
}

// TestDiedComesBack: a client whose node has died binds its resource again, on another node, while
// the dead one is cleaned up. Contacts on each node have its presence in the end, and not that of
// the dead node, whatever order what different nodes tell them has.
func TestDiedComesBack(t *testing.T) {
	for _, place := range []string{"of its own", "of a contact", "that cleans up"} {
		t.Run("on a node "+place, func(t *testing.T) {
			cluster, nodes := newCluster(t, 4, xmpptest.Config{})
			cleaner, dead, home, other := nodes[0], nodes[1], nodes[2], nodes[3]
			switch place {
			case "of a contact":
				home = other
			case "that cleans up":
				home = cleaner
			}
			romeo := jid.MustParse("romeo@localhost")
			for _, contact := range []string{"juliet@localhost", "nurse@localhost"} {
				befriend(t, cleaner, jid.MustParse(contact), romeo)
			}
			juliet, nurse := goOnline(t, other, "juliet", "j"), goOnline(t, cleaner, "nurse", "n")
			goOnline(t, dead, "romeo", "r")
			juliet.await("<presence from='romeo@localhost/r'")
			nurse.await("<presence from='romeo@localhost/r'")
			cluster.Wait()
			release := cleaner.Node().HoldSent()
			dead.Node().Kill()
			goOnline(t, home, "romeo", "r")
			cluster.Wait()
			release()
			cluster.Wait()
			for name, c := range map[string]*rawClient{"juliet": juliet, "nurse": nurse} {
				xmpptest.Eventually(t, name+" sees romeo", func() bool {
					c.sync()
					all := presencesOf(c, "romeo@localhost/r")
					return all[len(all)-1]
				})
			}
			if got := cluster.Places("romeo@localhost"); len(got) != 1 || got[0].Node != home.Node().Self() || !got[0].Available {
				t.Errorf("%+v", got)
			}
		})
	}
}
