package router_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"roost/internal/xmpptest"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestOfflineWithoutStore: while it is tried whether stored messages can be read again, a client
// that waits for some is served, and gets what others send it.
func TestOfflineWithoutStore(t *testing.T) { synctest.Test(t, testOfflineWithoutStore) }

func testOfflineWithoutStore(t *testing.T) {
	var faults faultstore.Faults
	s := xmpptest.NewServer(t, xmpptest.Config{Location: memstore.New(), Store: faults.Options()})
	juliet := goOnline(t, s, "juliet", "r")
	juliet.ask("<message type='chat' to='romeo@localhost'><body>stored</body></message>")
	failure := errors.New("no connection")
	faults.SetFault(func(op string) error {
		if op == "Offline" {
			return failure
		}
		return nil
	})
	before := faults.Calls("Offline")
	romeo := goOnline(t, s, "romeo", "r")
	xmpptest.Eventually(t, "the messages are read in vain", func() bool { return faults.Calls("Offline") > before })
	romeo.ask("<presence/>")
	tried, end := make(chan bool, 1), make(chan bool)
	faults.SetFault(func(op string) error {
		if op != "Offline" {
			return nil
		}
		select {
		case tried <- true:
		default:
		}
		<-end
		return failure
	})
	<-tried
	juliet.write("<message type='chat' to='romeo@localhost'><body>live</body></message>")
	romeo.await("<body>live</body>")
	romeo.ask("<presence><status>served</status></presence>")
	juliet.ask("<presence/>")
	faults.SetFault(nil)
	close(end)
	romeo.await("<body>stored</body>")
}
