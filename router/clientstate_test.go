package router_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

const (
	inactive = "<inactive xmlns='urn:xmpp:csi:0'/>"
	active   = "<active xmlns='urn:xmpp:csi:0'/>"
)

var (
	clientStateSteps = flag.Int("clientstate.steps", 400, "steps of TestClientStateModel")

	presenceOf = regexp.MustCompile(`<presence from='([^']*)'[^>]*?( type='unavailable')?(?:/>|>(.*?)</presence>)`)
)

// presences returns who has sent presence in a stream, and the last content of each;
// "unavailable" if it is.
func presences(stream string) map[string]string {
	last := make(map[string]string)
	for _, m := range presenceOf.FindAllStringSubmatch(stream, -1) {
		if last[m[1]] = m[3]; m[2] != "" {
			last[m[1]] = "unavailable"
		}
	}
	return last
}

// online returns those that are not unavailable, and are not one of juliet's clients.
func online(all map[string]string) map[string]string {
	all = maps.Clone(all)
	maps.DeleteFunc(all, func(from, content string) bool {
		return content == "unavailable" || from == "juliet@localhost/phone" || from == "juliet@localhost/desk"
	})
	return all
}

// TestClientStateModel: whatever contacts do while a client is inactive, on this node or on
// others, when it becomes active it knows the same as a client that was active all the time. It is
// sent presence only of those who have changed it, if the clock may advance and no change was
// forgotten.
func TestClientStateModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, test := range []struct {
		desc    string
		exact   bool
		cache   int
		nodes   int
		changes int // that are remembered of other nodes
	}{
		{"advancing", true, 0, 1, 0},
		{"standing still", false, 0, 1, 0},
		{"without cached rosters", true, 1, 1, 0},
		{"on nodes", true, 0, 3, 0},
		{"on nodes, standing still", false, 0, 3, 0},
		{"on nodes, without cached rosters", true, 1, 3, 0},
		{"on nodes, forgetting", false, 0, 3, 1},
	} {
		t.Run(test.desc, func(t *testing.T) {
			t.Logf("the seed is %d", seed)
			if test.changes > 0 {
				router.RememberChanges(t, test.changes)
			}
			cfg := xmpptest.Config{Router: router.Config{RosterCache: test.cache}}
			cluster, nodes := memnodes.New(), []*xmpptest.Server{nil}
			if test.nodes > 1 {
				cluster, nodes = newCluster(t, test.nodes, cfg)
			} else {
				nodes[0] = xmpptest.NewServer(t, cfg)
			}
			if !test.exact && test.changes == 0 {
				nodes[0].Router.SpendAdvances()
			}
			m := &clientStateModel{t: t, cluster: cluster, nodes: nodes, random: rand.New(rand.NewPCG(seed, 0)), exact: test.exact, changed: make(map[string]bool)}
			m.run(*clientStateSteps)
		})
	}
}

type clientStateModel struct {
	t       *testing.T
	cluster *memnodes.Cluster
	nodes   []*xmpptest.Server // of which the phone is on the first
	random  *rand.Rand
	exact   bool

	phone, desk *rawClient
	inactive    bool
	changed     map[string]bool // resources since the phone is inactive; on other nodes also their accounts
	seen        int             // bytes of phone.got when it became inactive
	contacts    []*rawClient
	names       []string
	steps       int
}

func (m *clientStateModel) run(steps int) {
	login := func(account, resource string, node int) *rawClient {
		c := loginAs(m.t, m.nodes[node%len(m.nodes)], account, resource, plainHeader)
		c.ask("<presence/>")
		return c
	}
	for _, account := range []string{"romeo", "nurse", "mercutio"} {
		befriend(m.t, m.nodes[0], jid.MustParse("juliet@localhost"), jid.MustParse(account+"@localhost"))
	}
	m.phone, m.desk = login("juliet", "phone", 0), login("juliet", "desk", 0)
	for _, account := range []string{"romeo", "nurse", "mercutio", "juliet"} {
		for _, resource := range []string{"a", "b"} {
			m.contacts = append(m.contacts, login(account, resource, len(m.contacts)))
			m.names = append(m.names, account+"@localhost/"+resource)
		}
	}
	m.cluster.Wait() // what the logins said is not a change
	for m.steps = range steps {
		m.step()
	}
	m.activate()
}

func (m *clientStateModel) step() {
	switch m.random.IntN(8) {
	case 0:
		if m.inactive {
			m.activate()
			return
		}
		m.inactive, m.changed = true, make(map[string]bool)
		m.phone.ask(inactive)
		m.seen = len(m.phone.got)
	case 1:
		m.change("<presence type='unavailable'/>")
	case 2: // the same presence again
		m.change("<presence/>")
	default:
		m.change(fmt.Sprintf("<presence><status>%d</status></presence>", m.steps))
	}
}

func (m *clientStateModel) change(presence string) {
	i := m.random.IntN(len(m.contacts))
	m.contacts[i].ask(presence)
	m.cluster.Wait()
	m.changed[m.names[i]] = true
	if i%len(m.nodes) != 0 {
		bare, _, _ := strings.Cut(m.names[i], "/")
		m.changed[bare] = true
	}
}

func (m *clientStateModel) activate() {
	if m.inactive {
		m.phone.sync()
		if held := m.phone.got[m.seen:]; strings.Contains(held, "<presence") {
			m.t.Fatalf("step %d: the inactive client has received %s", m.steps, held)
		}
	}
	before := len(m.phone.got)
	m.phone.ask(active)
	m.cluster.Wait() // replies of other nodes
	m.phone.sync()
	for from := range presences(m.phone.got[before:]) {
		if bare, _, _ := strings.Cut(from, "/"); m.exact && m.inactive && !m.changed[from] && !m.changed[bare] {
			m.t.Errorf("step %d: %s has not changed its presence", m.steps, from)
		}
	}
	m.inactive = false
	m.desk.sync()
	if got, want := online(presences(m.phone.got)), online(presences(m.desk.got)); !maps.Equal(got, want) {
		m.t.Fatalf("step %d: the client knows %v, want %v", m.steps, got, want)
	}
}

// TestActivationOrder: XEP-0352 section 5.1
// (https://xmpp.org/extensions/xep-0352.html#in-order-processing): "After the state has been
// restored to 'active' and all resulting stanzas have been put on the wire, the server sends
// the pong", however many these are. With more than the outbox holds they are sent as fast
// as the client reads.
func TestActivationOrder(t *testing.T) {
	f := func(desc string, cfg xmpptest.Config, size int, ordered bool) {
		t.Run(desc, func(t *testing.T) {
			s := xmpptest.NewServer(t, cfg)
			phone, contacts := manyContacts(t, s, 150)
			phone.ask(inactive)
			for _, c := range contacts {
				c.ask("<presence><status>new " + strings.Repeat("s", size) + "</status></presence>")
			}
			phone.sync()
			if strings.Contains(phone.got, "<status>new") {
				t.Fatal("presence was not held")
			}
			phone.got, phone.used = "", 0
			phone.write(active + "<iq type='get' id='pong' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
			if !ordered {
				fullSocket(t, s, "r")
			}
			phone.await("id='pong'")
			if got := strings.Count(phone.got, "<status>new"); ordered && got != len(contacts) {
				t.Errorf("%d presences were received before the pong, want %d", got, len(contacts))
			}
			for strings.Count(phone.got, "</status></presence>") < len(contacts) {
				phone.await("</status></presence>")
			}
			phone.sync()
			if got := strings.Count(phone.got, "<status>new"); got != len(contacts) {
				t.Errorf("%d presences were received, want %d", got, len(contacts))
			}
		})
	}
	f("many", xmpptest.Config{}, 10, true)
	f("with the roster in the store", xmpptest.Config{Router: router.Config{RosterCache: 1}}, 10, true)
	f("slow", xmpptest.Config{Outbox: 32 << 10, Router: router.Config{PageBytes: 8 << 10}}, 2000, false)
}

// manyContacts logs in romeo and contacts of his, all available.
func manyContacts(t *testing.T, s *xmpptest.Server, n int) (phone *rawClient, contacts []*rawClient) {
	romeo := jid.MustParse("romeo@localhost")
	for _, account := range addAccounts(t, s, n) {
		befriend(t, s, romeo, account)
		c := loginRaw(t, s, account.Local(), plainHeader)
		c.ask("<presence/>")
		contacts = append(contacts, c)
	}
	phone = loginRaw(t, s, "romeo", plainHeader)
	phone.ask("<presence/>")
	for strings.Count(phone.got, "<presence") < n+1 {
		phone.sync()
	}
	return phone, contacts
}

// TestHeldLimit: what is held for a client is limited in bytes. What exceeds the limit is
// sent together with all that was held before.
func TestHeldLimit(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	phone := loginRaw(t, s, "romeo", plainHeader)
	phone.ask("<presence/>")
	phone.ask(inactive)
	var others []*rawClient
	for _, user := range []string{"juliet", "nurse", "mercutio"} {
		others = append(others, loginRaw(t, s, user, plainHeader))
	}
	from := len(phone.got)
	send := func(c *rawClient, state string) (sent []string) {
		t.Helper()
		c.ask("<message type='chat' to='romeo@localhost' id='" + state + "'><" + state + " xmlns='http://jabber.org/protocol/chatstates'/><thread>" +
			strings.Repeat("t", 1500) + "</thread></message>")
		phone.sync()
		for _, m := range chatStateID.FindAllStringSubmatch(phone.got[from:], -1) {
			sent = append(sent, m[1]+" "+m[2])
		}
		from = len(phone.got)
		return sent
	}
	for i := range 2 * 5 { // each replaces the sender's last one
		if sent := send(others[i%2], "composing"); len(sent) > 0 {
			t.Fatalf("%v was sent to an inactive client", sent)
		}
	}
	if sent := send(others[0], "paused"); len(sent) > 0 {
		t.Fatalf("%v was sent to an inactive client", sent)
	}
	want := []string{"nurse composing", "juliet paused", "mercutio gone"}
	if sent := send(others[2], "gone"); !slices.Equal(sent, want) {
		t.Fatalf("%v was sent, want %v", sent, want)
	}
	if sent := send(others[2], "active"); len(sent) > 0 {
		t.Fatalf("%v was sent to an inactive client", sent)
	}
	if got := phone.ask(active); !strings.Contains(got, "id='active'") {
		t.Errorf("what is held after that was not sent: %q", got)
	}
}

var chatStateID = regexp.MustCompile(`<message [^>]*from='(\w+)@localhost/r'[^>]* id='(\w+)'`)

// TestActivationUnread: if a client's roster cannot be read when it becomes active, it gets
// what it has missed after it was inactive again. Until then, it is active.
func TestActivationUnread(t *testing.T) {
	s, faults := slowServer(t, xmpptest.Config{Router: router.Config{RosterCache: 1}, Logger: slog.New(slog.DiscardHandler)})
	befriend(t, s, jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
	befriend(t, s, jid.MustParse("romeo@localhost"), jid.MustParse("nurse@localhost"))
	juliet, nurse := loginRaw(t, s, "juliet", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	phone := loginRaw(t, s, "romeo", plainHeader)
	phone.ask("<presence/>")
	phone.ask(inactive)
	juliet.ask("<presence><status>one</status></presence>")
	faults.SetFault(func(op string) error { return errors.New("the disk is gone") })
	if got := phone.ask(active); strings.Contains(got, "<presence") {
		t.Fatalf("without a roster, the client was sent %s", got)
	}
	faults.SetFault(nil)
	from := len(phone.got)
	nurse.ask("<presence><status>two</status></presence>")
	phone.sync()
	if got := phone.got[from:]; !strings.Contains(got, "two") {
		t.Errorf("the active client was sent %q", got)
	}
	phone.ask(inactive)
	if got := phone.ask(active); !strings.Contains(got, "one") {
		t.Errorf("when the roster can be read, the client is sent %q", got)
	}
	phone.ask(inactive)
	if got := phone.ask(active); strings.Contains(got, "<presence") {
		t.Errorf("later, the client is sent %q", got)
	}
}
