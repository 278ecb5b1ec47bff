package router_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// receivedFrom returns the ids of what a client has received from romeo's session, in
// order.
func receivedFrom(got string) (ids []string) {
	for _, part := range strings.Split(got, "from='romeo@localhost/r'")[1:] {
		tag, _, _ := strings.Cut(part, ">")
		_, id, _ := strings.Cut(tag, "id='")
		id, _, _ = strings.Cut(id, "'")
		ids = append(ids, id)
	}
	return ids
}

// TestPresenceMerged: of successive broadcasts in one read, contacts get only the last;
// everything else keeps its meaning and its place (RFC 6120 section 10.1,
// https://www.rfc-editor.org/rfc/rfc6120#section-10.1).
func TestPresenceMerged(t *testing.T) {
	f := func(desc, input, juliets, own string, cache int) {
		t.Run(desc, func(t *testing.T) {
			s := xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{RosterCache: cache}})
			befriend(t, s, jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
			juliet, romeo := comeOnline(t, s, "juliet"), comeOnline(t, s, "romeo")
			juliet.sync()
			romeo.got, romeo.used, juliet.got, juliet.used = "", 0, "", 0
			romeo.write(input + "<iq type='get' id='sync' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
			romeo.await("id='sync'")
			juliet.sync()
			if got := strings.Join(receivedFrom(juliet.got), " "); got != juliets {
				t.Errorf("the contact got %q, want %q", got, juliets)
			}
			if got := strings.Join(receivedFrom(romeo.got), " "); got != own {
				t.Errorf("the client got %q, want %q", got, own)
			}
		})
	}
	for _, memory := range []struct {
		name  string
		cache int // bytes
	}{{"", 0}, {", the roster not in memory", 1}} {
		f("updates"+memory.name, "<presence id='a'/> <presence id='b'><show>away</show></presence>\n<presence id='c'/>", "c", "a b c", memory.cache)
		f("a message between"+memory.name,
			"<presence id='a'/><presence id='b'/><message to='juliet@localhost' id='m'/><presence id='c'/>", "b m c", "a b c", memory.cache)
		f("directed presence between"+memory.name,
			"<presence id='a'/><presence id='b'/><presence to='juliet@localhost/r' id='d'/><presence id='c'/>", "b d c", "a b c", memory.cache)
		f("away and back"+memory.name,
			"<presence id='a'/><presence id='b'/><presence type='unavailable' id='u'/><presence id='c'/><presence id='e'/>", "b u c e", "a b u c e", memory.cache)
	}
	f("a wrong priority", "<presence id='a'/><presence id='p'><priority>1000</priority></presence><presence id='b'/>", "a b", "a b", 0)

}
