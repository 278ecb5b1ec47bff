package router_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// TestSameReplyForUnknownAccounts: RFC 6120 section 13.10.2
// (https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2): whatever a client sends to an
// account, the reply does not depend on whether the account exists, byte for byte except
// for the name. The test covers every request that the server handles, one that it does
// not, and messages and presence of all types. The account that exists is offline the first
// time and online the second.
func TestSameReplyForUnknownAccounts(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := comeOnline(t, s, "romeo")
	for _, state := range []string{"offline", "online"} {
		if state == "online" {
			comeOnline(t, s, "juliet")
		}
		for _, st := range toAccount(s) {
			if state == "online" && strings.Contains(st, "X/r'") {
				continue // it is delivered to a resource, which may reply
			}
			if exists, not := romeo.replyFrom(st, "juliet"), romeo.replyFrom(st, "zuliet"); exists != not {
				t.Errorf("%s, %s\ngets the reply %s\nand for an account that does not exist %s", state, st, exists, not)
			}
		}
	}
}

// toAccount returns stanzas to an account, X: every request that the server handles, one that
// it does not, and messages and presence of all types.
func toAccount(s *xmpptest.Server) []string {
	stanzas := []string{
		"<iq type='get' id='q' to='X'><q xmlns='urn:unknown'/></iq>", "<iq type='set' id='q' to='X/r'><q xmlns='urn:unknown'/></iq>",
		"<presence to='X'/>", "<presence to='X/gone'/>", "<presence type='unavailable' to='X'/>", "<presence type='error' to='X'/>",
		"<presence type='probe' to='X'/>", "<presence type='probe' to='X/r'/>", "<presence type='bogus' to='X'/>",
		"<presence type='subscribed' to='X'/>", "<presence type='unsubscribed' to='X'/>",
		"<presence type='subscribe' to='X'/>", "<presence type='unsubscribe' to='X'/>",
	}
	for _, kind := range []string{"normal", "chat", "headline", "groupchat", "error"} {
		for _, resource := range []string{"", "/gone"} {
			stanzas = append(stanzas, "<message type='"+kind+"' to='X"+resource+"' id='m'><body>b</body></message>")
		}
	}
	for _, x := range s.Router.Extensions() {
		for _, h := range x.IQ {
			payload := "<" + h.Local + " xmlns='" + h.Space + "'/></iq>"
			if h.Targets&router.ToAccount != 0 && h.Methods&router.Get != 0 {
				stanzas = append(stanzas, "<iq type='get' id='g' to='X'>"+payload)
			}
			if h.Targets&router.ToAccount != 0 && h.Methods&router.Set != 0 {
				stanzas = append(stanzas, "<iq type='set' id='s' to='X'>"+payload)
			}
		}
	}
	return stanzas
}

// replyFrom sends a stanza of toAccount to an account and returns what the client gets.
func (c *rawClient) replyFrom(stanza, who string) string {
	c.t.Helper()
	c.got, c.used = "", 0
	c.write(strings.ReplaceAll(stanza, "to='X", "to='"+who+"@localhost"))
	c.sync()
	return volatile(strings.ReplaceAll(c.got, who+"@localhost", "X@localhost"))
}

// TestBlockedSeesOffline: whatever a blocked user sends to an account, the reply does not depend
// on whether the account is online: "the user will appear offline to the blocked JID"
// (https://xmpp.org/extensions/xep-0191.html#block). Requests get <service-unavailable/>. Bug:
// those that the server refuses without the store got another error while the account was offline.
func TestBlockedSeesOffline(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	juliet := comeOnline(t, s, "juliet")
	juliet.ask(fmt.Sprintf(blockFormat, items("romeo@localhost")))
	romeo := comeOnline(t, s, "romeo")
	stanzas := toAccount(s)
	online := make([]string, len(stanzas))
	for i, st := range stanzas {
		online[i] = romeo.replyFrom(st, "juliet")
	}
	juliet.lose(s, "juliet@localhost/r")
	for i, st := range stanzas {
		if offline := romeo.replyFrom(st, "juliet"); offline != online[i] {
			t.Errorf("%s\ngets the reply %s\nand if the account is offline %s", st, online[i], offline)
		}
		if strings.HasPrefix(st, "<iq") && !strings.Contains(online[i], "<service-unavailable ") {
			t.Errorf("%s\ngets the reply %s", st, online[i])
		}
	}
}

// TestSameStoreCalls: a message makes the same single call of the store whether the account
// is offline, has no space left, or does not exist, and whether its roster is in memory or not.
// TestSameWorkForStrangers is about probes and requests.
func TestSameStoreCalls(t *testing.T) {
	for _, rosterCache := range []int{1, 0} {
		testSameStoreCalls(t, xmpptest.Config{Router: router.Config{MaxOffline: 2, RosterCache: rosterCache}})
	}
}

func testSameStoreCalls(t *testing.T, cfg xmpptest.Config) {
	var calls atomic.Pointer[[]string]
	s, st := slowServer(t, cfg)
	st.SetFault(func(method string) error {
		if p := calls.Load(); p != nil {
			*p = append(*p, method)
		}
		return nil
	})
	romeo := comeOnline(t, s, "romeo")
	f := func(desc, to string) {
		t.Helper()
		if _, err := s.Router.Roster(jid.MustParse(to + "@localhost")); err != nil { // to have it in memory
			t.Fatal(err)
		}
		var list []string
		calls.Store(&list)
		romeo.write("<message type='chat' to='" + to + "@localhost'><body>b</body></message>")
		romeo.sync()
		calls.Store(nil)
		if got := strings.Join(list, " "); got != "AppendOffline" {
			t.Errorf("%s: the calls of the store are %q", desc, got)
		}
	}
	f("offline", "juliet")
	f("past the sender's share", "juliet")
	f("no such account", "zuliet")
	nurse := comeOnline(t, s, "nurse")
	nurse.write("<message type='chat' to='juliet@localhost'><body>b</body></message>")
	nurse.sync()
	f("full", "juliet")
}

// volatile removes what differs between replies: ids of pushes and versions of rosters.
func volatile(s string) string {
	for _, attr := range []string{"id='push-", "ver='"} {
		parts := strings.Split(s, attr)
		for i := 1; i < len(parts); i++ {
			if _, rest, found := strings.Cut(parts[i], "'"); found {
				parts[i] = "'" + rest
			}
		}
		s = strings.Join(parts, attr)
	}
	return s
}
