//go:build interop

package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// compile builds a client in this folder. The flags follow the sources.
func compile(t *testing.T, compiler, name, source string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(scratch, name)
	args := append([]string{"-Wall", "-Wextra", "-O1", "-o", binary, source}, flags...)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v (the packages in packages.txt have to be installed)\n%s", compiler, source, err, out)
	}
	return binary
}

// strophe is the libstrophe client and the server that it connects to.
type strophe struct {
	*server
	binary string
}

// login starts a client and waits until it is bound.
func (s strophe) login(t *testing.T, jid string) *lineClient {
	t.Helper()
	return startLines(t, s.server, s.binary, jid, password, "login").connected()
}

// online starts a client, requests its roster and makes it available.
func (s strophe) online(t *testing.T, jid string) *lineClient {
	t.Helper()
	c := s.login(t, jid)
	c.ask("roster-1", "<iq type='get' id='roster-1'><query xmlns='jabber:iq:roster'/></iq>")
	c.send("<presence/>")
	c.presence("", c.full)
	return c
}

// stropheScenario is what libstrophe clients do at a server.
type stropheScenario struct {
	desc string
	play func(*testing.T, strophe)
}

var stropheScenarios = []stropheScenario{
	{"login", stropheLogin},
	{"refused", stropheRefused},
	{"two resources", stropheTwoResources},
	{"roster and subscription", stropheSubscription},
	{"chat", stropheChat},
	{"offline", stropheOffline},
	{"vcard", stropheVCard},
	{"register", stropheRegister},
	{"conflict", stropheConflict},
	{"extensions", stropheExtensions},
	{"accounts changed from outside", stropheAccounts},
	{"resumption", stropheResumption},
}

// TestStrophe runs scenarios with the C library libstrophe (0.12).
func TestStrophe(t *testing.T) {
	s := newServer(t)
	runStrophe(t, s)
	t.Run("restart", func(t *testing.T) { stropheRestart(t, newStrophe(t, s)) }) // stops the server when it ends
}

func newStrophe(t *testing.T, s *server) strophe {
	t.Helper()
	return strophe{s, compile(t, "gcc", "strophe", "strophe/client.c", "-lstrophe")}
}

func runStrophe(t *testing.T, s *server) {
	t.Helper()
	client := newStrophe(t, s)
	for _, sc := range stropheScenarios {
		t.Run(sc.desc, func(t *testing.T) {
			mark := s.log.mark()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("--- the server:\n%s", s.log.since(mark))
				}
			})
			front, _ := s.front(t)
			sc.play(t, strophe{front, client.binary})
		})
	}
}

// Logins over STARTTLS and direct TLS, which check the certificate, and a clean close.
func stropheLogin(t *testing.T, s strophe) {
	jid := s.users(t, 1)[0]
	for _, mode := range []string{"login", "direct"} {
		c := startLines(t, s.server, s.binary, jid+"/"+mode, password, mode).connected()
		if c.full != jid+"/"+mode {
			t.Errorf("bound to %s", c.full)
		}
		c.send("@close")
		if words := c.closed(); words[0] != "0" || words[1] != "-1" {
			t.Errorf("%s: closed with %q", mode, words)
		}
		if !strings.Contains(c.log.tail(), "SASL SCRAM-") {
			t.Errorf("%s: not by SCRAM:\n%s", mode, c.log.tail())
		}
	}
	c := s.login(t, jid)
	if _, resource, _ := strings.Cut(c.full, "/"); resource == "" {
		t.Errorf("bound to %s without asking for a resource", c.full)
	}
}

// A wrong password, and a certificate that is not trusted.
func stropheRefused(t *testing.T, s strophe) {
	jid := s.users(t, 1)[0]
	c := startLines(t, s.server, s.binary, jid, "not it", "login")
	c.closed()
	if log := c.log.tail(); !strings.Contains(log, "not-authorized") {
		t.Errorf("no not-authorized in:\n%s", log)
	}
	stranger := *s.server
	stranger.ca = ""
	c = startLines(t, &stranger, s.binary, jid, password, "login")
	c.closed()
	s.login(t, jid)
}

func stropheTwoResources(t *testing.T, s strophe) {
	jid := s.users(t, 1)[0]
	one := s.online(t, jid+"/one")
	two := s.online(t, jid+"/two")
	one.presence("", two.full)
	two.presence("", one.full)
	one.send("<message to='%s' type='chat'><body>to two</body></message>", two.full)
	two.message("to two")
	two.send("<message to='%s' type='chat'><body>to myself</body></message>", two.full)
	two.message("to myself")
	two.send("<presence><priority>-1</priority></presence>")
	one.presence("", two.full)
	one.send("<message to='%s' type='chat'><body>to us</body></message>", jid)
	one.message("to us")
	one.barrier(two)
	two.nothing("a message below priority 0", func(x *stanza) bool { return x.child("body").text() == "to us" })
	two.send("@close")
	two.closed()
	one.presence("unavailable", two.full)
}

func stropheSubscription(t *testing.T, s strophe) {
	users := s.users(t, 2)
	a, b := s.online(t, users[0]+"/a"), s.online(t, users[1]+"/b")

	a.ask("add", "<iq type='set' id='add'><query xmlns='jabber:iq:roster'><item jid='%s' name='B &amp; C'><group>One</group></item></query></iq>", users[1])
	if item := a.push(users[1], "none").child("query").child("item"); item.attr("name") != "B & C" || item.child("group").text() != "One" {
		t.Errorf("pushed %+v", item)
	}
	s.befriend(a, b)

	a.send("<presence><show>dnd</show><status>in a &lt;meeting&gt;</status></presence>")
	if x := b.presence("", a.full); x.child("show").text() != "dnd" || x.child("status").text() != "in a <meeting>" {
		t.Errorf("presence came as %+v", x)
	}
	b.send("<presence type='unsubscribed' to='%s'/>", users[0])
	a.presence("unavailable", b.full)
	a.presence("unsubscribed", users[1])
	a.push(users[1], "from")
	b.push(users[0], "to")
	a.ask("remove", "<iq type='set' id='remove'><query xmlns='jabber:iq:roster'><item jid='%s' subscription='remove'/></query></iq>", users[1])
	a.push(users[1], "remove")
	if !s.lenient {
		b.presence("unavailable", a.full) // RFC 6121 3.2.2
	}
	b.presence("unsubscribed", users[0])
	b.push(users[0], "none")
}

// befriend subscribes two clients to each other.
func (s strophe) befriend(a, b *lineClient) {
	bareA, _, _ := strings.Cut(a.full, "/")
	bareB, _, _ := strings.Cut(b.full, "/")
	a.send("<presence type='subscribe' to='%s'/>", bareB)
	b.presence("subscribe", bareA)
	b.send("<presence type='subscribed' to='%s'/>", bareA)
	a.presence("subscribed", bareB)
	a.push(bareB, "to")
	a.presence("", b.full)
	b.push(bareA, "from")
	b.send("<presence type='subscribe' to='%s'/>", bareA)
	a.presence("subscribe", bareB)
	a.send("<presence type='subscribed' to='%s'/>", bareB)
	b.presence("subscribed", bareA)
	b.push(bareA, "both")
	b.presence("", a.full)
	a.push(bareB, "both")
}

func stropheChat(t *testing.T, s strophe) {
	users := s.users(t, 2)
	a, b := s.online(t, users[0]+"/a"), s.online(t, users[1]+"/b")
	a.send("<message to='%s' type='chat' id='m1'><body>bare &lt;&amp;&gt; \"ünïcödé\"</body><x xmlns='urn:example:x' y='z'><w/></x></message>", users[1])
	got := b.message(`bare <&> "ünïcödé"`)
	if got.attr("from") != a.full || got.attr("id") != "m1" || got.attr("type") != "chat" || got.child("x").attr("y") != "z" || got.child("x").child("w") == nil {
		t.Errorf("came as %+v", got)
	}
	b.send("<message to='%s' type='chat'><body>full</body></message>", got.attr("from"))
	a.message("full")
	for i := range 50 {
		a.send("<message to='%s' type='chat'><body>n%d</body></message>", b.full, i)
	}
	for i := range 50 {
		x := b.expect("the next of many", func(x *stanza) bool { return x.name() == "message" })
		if want := "n" + strconv.Itoa(i); x.child("body").text() != want {
			t.Fatalf("got %s, wanted %s", x.child("body").text(), want)
		}
	}

	// A stranger's requests fail in the same way whether the account exists or not.
	for i, to := range []string{users[1], "nobody-at-all@" + s.domain} {
		id := "stranger-" + strconv.Itoa(i)
		a.send("<iq type='get' id='%s' to='%s'><query xmlns='jabber:iq:last'/></iq>", id, to)
		if x := a.response(id); x.attr("type") != "error" || x.condition() != "service-unavailable" && x.condition() != "forbidden" {
			t.Errorf("asking %s for its last activity gave %s %q", to, x.attr("type"), x.condition())
		}
	}
}

func stropheOffline(t *testing.T, s strophe) {
	users := s.users(t, 2)
	a := s.online(t, users[0]+"/a")
	for _, body := range []string{"first", "second", "third"} {
		a.send("<message to='%s' type='chat'><body>%s</body></message>", users[1], body)
	}
	a.barrier(a)
	b := s.online(t, users[1]+"/b")
	for _, body := range []string{"first", "second", "third"} {
		x := b.expect("a stored message", func(x *stanza) bool { return x.name() == "message" })
		if x.child("body").text() != body || x.child("delay").attr("stamp") == "" || x.attr("from") != a.full {
			t.Errorf("wanted %q with its time, got %+v", body, x)
		}
	}
}

func stropheVCard(t *testing.T, s strophe) {
	users := s.users(t, 2)
	a, b := s.online(t, users[0]+"/a"), s.online(t, users[1]+"/b")
	a.ask("set", "<iq type='set' id='set'><vCard xmlns='vcard-temp'><FN>A &amp; B</FN><ADR><CTRY>Italia</CTRY></ADR></vCard></iq>")
	for c, to := range map[*lineClient]string{a: "", b: " to='" + users[0] + "'"} {
		card := c.ask("get", "<iq type='get' id='get'%s><vCard xmlns='vcard-temp'/></iq>", to).child("vCard")
		if card.child("FN").text() != "A & B" || card.child("ADR").child("CTRY").text() != "Italia" {
			t.Errorf("%s got %+v", c.label, card)
		}
	}
}

// Registration on a stream that the program negotiates itself ("raw"), then a login, a
// password change, and logins with both passwords.
func stropheRegister(t *testing.T, s strophe) {
	name := "new-" + uniqueName()
	jid := name + "@" + s.domain
	c := startLines(t, s.server, s.binary, jid, "", "raw")
	c.event("@open")
	features := func(x *stanza) bool { return x.name() == "features" }
	c.expect("the features", features)
	c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.expect("proceed", func(x *stanza) bool { return x.name() == "proceed" })
	c.send("@tls")
	if x := c.expect("the features under TLS", features); x.child("register") == nil {
		t.Errorf("registration is not offered: %+v", x)
	}
	form := c.ask("form", "<iq type='get' id='form'><query xmlns='jabber:iq:register'/></iq>").child("query")
	if form.child("username") == nil || form.child("password") == nil {
		t.Errorf("the form is %+v", form)
	}
	c.ask("new", "<iq type='set' id='new'><query xmlns='jabber:iq:register'><username>%s</username><password>%s</password></query></iq>", name, xmlText(password))
	c.send("@close")
	c.closed()

	c = s.login(t, jid)
	c.ask("change", "<iq type='set' id='change' to='%s'><query xmlns='jabber:iq:register'><username>%s</username><password>another</password></query></iq>", s.domain, name)
	c.send("@close")
	c.closed()
	startLines(t, s.server, s.binary, jid, "another", "login").connected()
	startLines(t, s.server, s.binary, jid, password, "login").closed()
}

func xmlText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(text)
}

func stropheConflict(t *testing.T, s strophe) {
	const seConflict = "2" // XMPP_SE_CONFLICT of strophe.h
	jid := s.users(t, 1)[0] + "/same"
	older := s.online(t, jid)
	newer := s.online(t, jid)
	if words := older.closed(); words[1] != seConflict {
		t.Errorf("the older stream was closed with %q", words)
	}
	newer.barrier(newer)
}

func stropheExtensions(t *testing.T, s strophe) {
	users := s.users(t, 1)
	c := s.online(t, users[0]+"/c")
	for i, payload := range []string{
		"<query xmlns='http://jabber.org/protocol/disco#info'/>",
		"<query xmlns='http://jabber.org/protocol/disco#items'/>",
		"<ping xmlns='urn:xmpp:ping'/>",
		"<query xmlns='jabber:iq:version'/>",
		"<time xmlns='urn:xmpp:time'/>",
		"<query xmlns='jabber:iq:last'/>",
	} {
		id := "ask-" + strconv.Itoa(i)
		if x := c.ask(id, "<iq type='get' id='%s' to='%s'>%s</iq>", id, s.domain, payload); x.attr("from") != s.domain {
			t.Errorf("the response to %s is from %q", payload, x.attr("from"))
		}
	}
	c.ask("keep", "<iq type='set' id='keep'><query xmlns='jabber:iq:private'><p xmlns='urn:example:p'>kept</p></query></iq>")
	if x := c.ask("kept", "<iq type='get' id='kept'><query xmlns='jabber:iq:private'><p xmlns='urn:example:p'/></query></iq>"); x.child("query").child("p").text() != "kept" {
		t.Errorf("private storage gave %+v", x)
	}
	c.send("<iq type='get' id='what'><what xmlns='urn:example:what'/></iq>")
	if x := c.response("what"); x.condition() != "service-unavailable" {
		t.Errorf("an unknown request gave %q", x.condition())
	}
}

// The operator changes a password and removes an account while the server runs: the new
// password is valid at once, and the session of the removed account ends.
func stropheAccounts(t *testing.T, s strophe) {
	if s.user == nil {
		t.Skip("another server has no `roost user`")
	}
	jid := s.users(t, 1)[0]
	c := s.online(t, jid+"/c")
	if err := s.user("another\n", "passwd", jid, "--password-stdin"); err != nil {
		t.Fatal(err)
	}
	startLines(t, s.server, s.binary, jid, "another", "login").connected()
	startLines(t, s.server, s.binary, jid, password, "login").closed()
	if err := s.user("", "del", jid); err != nil {
		t.Fatal(err)
	}
	c.closed()
	startLines(t, s.server, s.binary, jid, "another", "login").closed()
}

// The server restarts while a client is connected, and has kept its data.
func stropheRestart(t *testing.T, s strophe) {
	if !s.restartable() {
		t.Skip("the server under test was not started by this test (INTEROP_START)")
	}
	const seSystemShutdown = "18" // XMPP_SE_SYSTEM_SHUTDOWN of strophe.h
	users := s.users(t, 2)
	a, b := s.online(t, users[0]+"/a"), s.online(t, users[1]+"/b")
	s.befriend(a, b)
	s.stop(t)
	for _, c := range []*lineClient{a, b} {
		if words := c.closed(); words[1] != seSystemShutdown {
			t.Errorf("%s was closed with %q", c.label, words)
		}
	}
	s.start(t)
	a = s.online(t, users[0]+"/a")
	b = s.online(t, users[1]+"/b")
	a.presence("", b.full)
	b.presence("", a.full)
	a.barrier(b)
}

// The network of a client stalls, at different places, and then ends. The client resumes its
// session, which the server has noticed or not. No message is lost, none arrives twice, and
// they stay in order. There is one resumption for each session: with a second one,
// libstrophe 0.12.2 forgets messages, because it numbers those wrongly that it has sent again.
func stropheResumption(t *testing.T, s strophe) {
	for _, end := range []string{"cut 0", "lose 0"} {
		for _, after := range []string{"0", "100", "900", "100000"} {
			t.Run(end+" after "+after, func(t *testing.T) {
				users := s.users(t, 2)
				n := newNetwork(t, s.starttls)
				phone := *s.server
				phone.starttls = n.address
				a := startLines(t, &phone, s.binary, users[0]+"/phone", password, "resume").connected()
				// libstrophe 0.12.2 does not count what it sends before that.
				a.expect("<enabled/>", func(x *stanza) bool { return x.name() == "enabled" })
				b := s.online(t, users[1]+"/b")
				var fromA, fromB []string
				talk := func() {
					for range 4 {
						fromA, fromB = append(fromA, fmt.Sprint("a ", len(fromA))), append(fromB, fmt.Sprint("b ", len(fromB)))
						a.send("<message to='%s' type='chat'><body>%s</body></message>", b.full, fromA[len(fromA)-1])
						b.send("<message to='%s' type='chat'><body>%s</body></message>", a.full, fromB[len(fromB)-1])
					}
				}
				talk()
				n.obey("stall " + after)
				talk()
				a.send("@flush")
				a.event("@flushed")
				b.barrier(b)
				n.obey(end)
				a.event("@closed")
				talk()
				b.barrier(b)
				mark := a.log.mark()
				a.send("@connect")
				a.connected()
				talk()
				a.barrier(b)
				b.barrier(a)
				if log := a.log.since(mark); !strings.Contains(log, "Session resumed successfully") {
					t.Errorf("the session was not resumed:\n%s", log)
				}
				if got := a.bodies(); !slices.Equal(got, fromB) {
					t.Errorf("%s received %q, want %q", a.label, got, fromB)
				}
				if got := b.bodies(); !slices.Equal(got, fromA) {
					t.Errorf("%s received %q, want %q", b.label, got, fromA)
				}
			})
		}
	}
}
