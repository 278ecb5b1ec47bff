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

// requestReads counts how often subscription requests are read.
type requestReads struct {
	store.Store
	n *atomic.Int64
}

func (s requestReads) SubscriptionRequests(ctx context.Context, owner jid.JID) ([]store.Request, error) {
	s.n.Add(1)
	return s.Store.SubscriptionRequests(ctx, owner)
}

// TestRequestsLater: a client that becomes available again and again, while it has to acknowledge
// before it is sent more requests, is sent them once, and nothing is read or kept for each time.
func TestRequestsLater(t *testing.T) {
	const senders, times = 8, 100
	var reads atomic.Int64
	cfg := xmpptest.Config{Wrap: func(s store.Store) store.Store { return requestReads{s, &reads} }}
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	for _, name := range addAccounts(t, s, senders) {
		c := loginRaw(t, s, name.Local(), plainHeader)
		c.ask("<presence/><presence type='subscribe' to='romeo@localhost'><status>" + strings.Repeat("s", 1000) + "</status></presence>")
	}
	romeo, _ := resumable(t, s, "romeo")
	romeo.say("<presence/>", "type='subscribe'")
	romeo.sync()
	first := strings.Count(romeo.got, "type='subscribe'")
	if first == senders {
		t.Fatal("all requests were sent before one was acknowledged")
	}
	before := reads.Load()
	romeo.write(strings.Repeat("<presence type='unavailable'/><presence/>", times))
	romeo.sync()
	if n := reads.Load() - before; n != 0 {
		t.Errorf("requests were read %d times", n)
	}
	if n := strings.Count(romeo.got, "type='subscribe'"); n != first {
		t.Errorf("%d requests were sent without an acknowledgement, want %d", n, first)
	}
	for strings.Count(romeo.got, "type='subscribe'") < first+senders {
		stanzas := strings.Count(romeo.got, "<message") + strings.Count(romeo.got, "<presence") + strings.Count(romeo.got, "<iq")
		romeo.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", stanzas))
		romeo.await("type='subscribe'")
	}
	romeo.sync()
	if n := strings.Count(romeo.got, "type='subscribe'"); n != first+senders {
		t.Errorf("%d requests were sent, want %d, and then all %d", n, first, senders)
	}
	if n := reads.Load() - before; n > senders {
		t.Errorf("requests were read %d times", n)
	}
}
