package router_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
	"roost/store/faultstore"
)

// TestBlocklistMatching: XEP-0191 section 7
// (https://xmpp.org/extensions/xep-0191.html#matching).
func TestBlocklistMatching(t *testing.T) {
	f := func(address, blocked, free string) {
		t.Helper()
		l := router.NewBlocklist([]string{"zz.example", address, "a.example"})
		for _, s := range strings.Fields(blocked) {
			if !l.Blocks(jid.MustParse(s)) {
				t.Errorf("%s does not block %s", address, s)
			}
		}
		for _, s := range strings.Fields(free) {
			if l.Blocks(jid.MustParse(s)) {
				t.Errorf("%s blocks %s", address, s)
			}
		}
	}
	f("u@d.example/r", "u@d.example/r", "u@d.example u@d.example/s v@d.example/r d.example d.example/r")
	f("u@d.example", "u@d.example u@d.example/r", "v@d.example d.example d.example/r u@e.example u@sub.d.example")
	f("d.example/r", "d.example/r", "d.example d.example/s u@d.example/r u@d.example")
	f("d.example", "d.example d.example/r u@d.example u@d.example/r", "sub.d.example u@sub.d.example example")
	if router.NewBlocklist(nil).Blocks(jid.MustParse("u@d.example")) {
		t.Error("an empty list blocks")
	}
}

const (
	blockFormat   = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>%s</block></iq>"
	unblockFormat = "<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'>%s</unblock></iq>"
	getBlocklist  = "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>"
)

// items returns an item for each address.
func items(addresses ...string) string {
	var b strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&b, "<item jid='%s'/>", a)
	}
	return b.String()
}

// ask sends a request and returns its response.
func (c *rawClient) ask(request string) string {
	c.t.Helper()
	from := len(c.got)
	c.write(request)
	c.sync()
	return c.got[from:]
}

// TestBlocklistLimits: the number of addresses and their length are limited; what exceeds a
// limit changes nothing, and a list that is full can still shrink.
func TestBlocklistLimits(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.MaxBlocked = 3
	s := xmpptest.NewServer(t, cfg)
	c := loginRaw(t, s, "romeo", plainHeader)
	f := func(request, want string, list ...string) {
		t.Helper()
		if got := c.ask(request); !strings.Contains(got, want) {
			t.Errorf("%.300s: %s, want %s", request, got, want)
		}
		want = "<blocklist xmlns='urn:xmpp:blocking'/>"
		if len(list) > 0 {
			want = "<blocklist xmlns='urn:xmpp:blocking'>" + items(list...) + "</blocklist>"
		}
		if got := c.ask(getBlocklist); !strings.Contains(got, want) {
			t.Errorf("after %.300s: %.300s, want %.300s", request, got, want)
		}
	}
	block := func(a ...string) string { return fmt.Sprintf(blockFormat, items(a...)) }
	unblock := func(a ...string) string { return fmt.Sprintf(unblockFormat, items(a...)) }
	f(block("a@x", "b@x", "c@x", "d@x"), "resource-constraint")
	f(block("a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x"), "resource-constraint")
	f(block("a@x", "b@x", "a@x", "b@x"), "type='result'", "a@x", "b@x")
	f(block("c@x"), "type='result'", "a@x", "b@x", "c@x")
	f(block("d@x"), "resource-constraint", "a@x", "b@x", "c@x")
	f(unblock("a@x", "b@x"), "type='result'", "c@x")
	f(block("d@x"), "type='result'", "c@x", "d@x")
	f(unblock(), "type='result'")

	// 64 KiB of addresses
	var cfg2 xmpptest.Config
	c = loginRaw(t, xmpptest.NewServer(t, cfg2), "romeo", plainHeader)
	long := func(i int) string {
		return fmt.Sprintf("%s%02d@%s/%s", strings.Repeat("l", 1000), i, strings.Repeat("d", 60)+".x", strings.Repeat("r", 980))
	}
	var all []string
	for i := range 31 {
		all = append(all, long(i))
		f(block(long(i)), "type='result'", all...)
	}
	f(block(long(31), long(32)), "resource-constraint", all...)
}

// TestBlocklistSurvives: a list is still there after a restart, and is gone with the
// account: the next account of that name has none.
func TestBlocklistSurvives(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) {
		cfg := xmpptest.Config{Location: k.New(t)}
		t.Run("before", func(t *testing.T) {
			c := loginRaw(t, xmpptest.NewServer(t, cfg), "romeo", plainHeader)
			c.say(fmt.Sprintf(blockFormat, items("juliet@localhost")), "id='b'")
		})
		s := xmpptest.NewServer(t, cfg)
		juliet := loginRaw(t, s, "juliet", plainHeader)
		hears := func() bool {
			return !strings.Contains(juliet.ask("<message type='chat' id='m' to='romeo@localhost/r'><body>b</body></message>"), "service-unavailable")
		}
		romeo := loginRaw(t, s, "romeo", plainHeader)
		if hears() {
			t.Error("juliet is not blocked after a restart")
		}
		if got := romeo.ask(getBlocklist); !strings.Contains(got, items("juliet@localhost")) {
			t.Errorf("the list after a restart: %s", got)
		}
		owner := jid.MustParse("romeo@localhost")
		if err := s.Store.DeleteAccount(context.Background(), owner, store.AnyEvent); err != nil {
			t.Fatal(err)
		}
		if err := xmpptest.AddAccounts(context.Background(), s.Store, "localhost"); err != nil {
			t.Fatal(err)
		}
		romeo = loginRaw(t, s, "romeo", plainHeader)
		if !hears() {
			t.Error("juliet is blocked by the next account of that name")
		}
		if got := romeo.ask(getBlocklist); !strings.Contains(got, "<blocklist xmlns='urn:xmpp:blocking'/>") {
			t.Errorf("the list of the next account: %s", got)
		}
	})
}

// TestBlocklistUnread: a client can bind a resource while the store cannot be read. Its
// blocklist is in force as soon as the roster was read.
func TestBlocklistUnread(t *testing.T) {
	cfg := xmpptest.Config{Location: teststores.SQLite.New(t)}
	t.Run("before", func(t *testing.T) {
		c := loginRaw(t, xmpptest.NewServer(t, cfg), "romeo", plainHeader)
		c.say(fmt.Sprintf(blockFormat, items("juliet@localhost")), "id='b'")
	})
	var faults faultstore.Faults
	cfg.Store, cfg.Logger = faults.Options(), slog.New(slog.DiscardHandler)
	s := xmpptest.NewServer(t, cfg)
	faults.SetFault(func(op string) error {
		if op == "LoginState" {
			return errors.New("the disk is gone")
		}
		return nil
	})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	faults.SetFault(nil)
	romeo.say("<presence/>", "from='romeo@localhost/r'")
	juliet := loginRaw(t, s, "juliet", plainHeader)
	if got := juliet.ask("<message id='m' to='romeo@localhost/r'><body>b</body></message>"); !strings.Contains(got, "service-unavailable") {
		t.Errorf("juliet is not blocked: %s", got)
	}
}

// TestBlockSelfStored: a user who has blocked the own domain gets stored messages from the own
// account: "An implementation MUST NOT block communications from one of a user's resources to
// another" (https://xmpp.org/extensions/xep-0191.html#privacy). Those that others had sent
// before are dropped.
func TestBlockSelfStored(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	juliet := loginRaw(t, s, "juliet", plainHeader)
	nurse := loginRaw(t, s, "nurse", plainHeader)
	for i, c := range []*rawClient{nurse, juliet} {
		c.sendNumbered(i, i+1, "b")
		c.sync()
	}
	juliet.ask(fmt.Sprintf(blockFormat, items("localhost")))
	juliet.write("<presence/>")
	juliet.await("id='m.1'")
	if juliet.sync(); len(juliet.received()) != 1 {
		t.Errorf("received %v", juliet.received())
	}
	awaitStored(t, s, 0)
}

// TestBlockWhileAbsent: what a contact has sent while a client had no connection is not sent to
// the client when it resumes its session, if the contact was blocked meanwhile, nor are copies of
// what it has sent to another client. It leaves the store, if it is there. What others have sent
// is delivered, and counted without the rest.
func TestBlockWhileAbsent(t *testing.T) {
	for desc, cfg := range map[string]xmpptest.Config{"": {}, "durable": durable()} {
		t.Run(desc, func(t *testing.T) { testBlockWhileAbsent(t, cfg) })
	}
}

func testBlockWhileAbsent(t *testing.T, cfg xmpptest.Config) {
	s := xmpptest.NewServer(t, cfg)
	romeo, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	phone, id := resumableAs(t, s, "juliet", "phone")
	phone.ask("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>")
	desk := loginAs(t, s, "juliet", "desk", plainHeader)
	desk.ask("<presence><priority>-1</priority></presence>")
	phone.sync()
	handled := strings.Count(phone.got, "<presence") + strings.Count(phone.got, "<iq")
	_ = phone.conn.Close()
	xmpptest.Eventually(t, "the connection to be lost", s.Sessions.Find("juliet@localhost", "phone").Detached)
	romeo.sendNumbered(0, 1, "b")
	romeo.write("<message type='chat' to='juliet@localhost/desk' id='m.1'><body>b</body></message>")
	romeo.sync()
	nurse.sendNumbered(2, 3, "b")
	nurse.sync()
	desk.await("id='m.1'")
	desk.ask(fmt.Sprintf(blockFormat, items("romeo@localhost")))

	phone = resumeAt(t, s, "juliet", id, strconv.Itoa(handled))
	phone.got, phone.used = phone.got[phone.used:], 0
	phone.await("id='m.2'")
	phone.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", handled+1))
	phone.sync()
	nurse.sendNumbered(3, 4, "b")
	phone.await("id='m.3'")
	if got := phone.received(); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("received %v", got)
	}
	phone.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", handled+3))
	phone.sync()
	awaitStored(t, s, 0)
}
