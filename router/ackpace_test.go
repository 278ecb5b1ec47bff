package router_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"roost/internal/xmpptest"
)

var otherResource = regexp.MustCompile(`<presence[^>]* from='romeo@localhost/(r\d)'[^>]*><status>`)

// TestPresencePacedByAcks: a client that reads what it is sent at its login, and acknowledges it
// later, is sent as much as may be unacknowledged, and the rest when it has acknowledged some:
// more would have it disconnected. So is one that has lost its connection meanwhile, when it
// resumes its session, whether it has handled what it was sent before or not.
func TestPresencePacedByAcks(t *testing.T) {
	for desc, handled := range map[string]bool{"handled": true, "not handled": false} {
		t.Run(desc, func(t *testing.T) { testPresencePacedByAcks(t, handled) })
	}
}

func testPresencePacedByAcks(t *testing.T, handled bool) {
	const others = 8
	var cfg xmpptest.Config
	cfg.Session.Unacked = 4000
	s := xmpptest.NewServer(t, cfg)
	for i := range others {
		c := loginAs(t, s, "romeo", fmt.Sprintf("r%d", i), plainHeader)
		c.ask("<presence><status>" + strings.Repeat("x", 1000) + "</status></presence>")
	}
	stanzas := func(c *rawClient) int {
		return strings.Count(c.got, "<message") + strings.Count(c.got, "<presence") + strings.Count(c.got, "<iq")
	}
	seen := make(map[string]bool)
	look := func(c *rawClient) int {
		for _, m := range otherResource.FindAllStringSubmatch(c.got, -1) {
			seen[m[1]] = true
		}
		return len(seen)
	}
	phone, id := resumableAs(t, s, "romeo", "phone")
	phone.ask("<presence/>")
	if n := look(phone); n == 0 || n == others {
		t.Fatalf("the presence of %d of %d resources was sent before any was acknowledged", n, others)
	}
	it := s.Sessions.Find("romeo@localhost", "phone")
	_ = phone.conn.Close()
	xmpptest.Eventually(t, "the connection to be lost", it.Detached)
	h := 0
	if handled {
		h = stanzas(phone)
	}

	phone = resumeAt(t, s, "romeo", id, strconv.Itoa(h))
	phone.got, phone.used = phone.got[phone.used:], 0
	for look(phone) < others {
		phone.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", h+stanzas(phone)))
		phone.await("</presence>")
	}
	if s.Sessions.Find("romeo@localhost", "phone") != it {
		t.Error("the session has ended")
	}
}
