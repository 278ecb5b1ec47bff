package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/memnet"
	"roost/internal/xmpptest"
)

// awaitStored waits until so many messages are stored for juliet.
func awaitStored(t testing.TB, s *xmpptest.Server, n int) {
	t.Helper()
	xmpptest.Eventually(t, fmt.Sprintf("%d messages to be in the store", n), func() bool { return storedMessages(t, s) == n })
}

// unreadPage sends n messages to juliet, who is offline, and logs her in without stream
// management. Her first resource was sent all of them, but its socket accepts only eight
// until she reads. The second one is available, too.
func unreadPage(t *testing.T, n int) (s *xmpptest.Server, first, second *rawClient) {
	t.Helper()
	s = xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, n, strings.Repeat("x", memnet.SocketBuffer/8))
	romeo.sync()
	first = loginAs(t, s, "juliet", "first", plainHeader)
	first.write("<presence/>")
	xmpptest.Eventually(t, "the messages to be sent", func() bool { return s.Router.Stats().OfflineDelivered == int64(n) })
	second = loginAs(t, s, "juliet", "second", plainHeader)
	second.write("<presence/>")
	second.sync()
	return s, first, second
}

// TestWrittenPage: stored messages stay in the store until the socket of a client without
// stream management has accepted them. Another resource is not sent them meanwhile.
func TestWrittenPage(t *testing.T) {
	const n = 12
	s, juliet, second := unreadPage(t, n)
	if got := second.received(); len(got) != 0 {
		t.Errorf("another resource received %v", got)
	}
	if got := storedMessages(t, s); got < n-8 {
		t.Errorf("%d messages are in the store, want the %d that the socket has not accepted", got, n-8)
	}
	juliet.await(fmt.Sprintf("id='m.%d'", n-1))
	awaitStored(t, s, 0)
}

// TestUnwrittenLeft: when a client without stream management loses its connection, the
// messages that its socket has not accepted go to another resource.
func TestUnwrittenLeft(t *testing.T) {
	const n = 12
	s, juliet, second := unreadPage(t, n)
	juliet.lose(s, "juliet@localhost/first")
	second.await(fmt.Sprintf("id='m.%d'", n-1))
	if got := second.received(); len(got) < n-8 || !slices.Equal(got, numbers(n-len(got), n)) {
		t.Errorf("received %v", got)
	}
	awaitStored(t, s, 0)
}
