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
