package router_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// TestExtensionsPanic: if the handler of a request panics, the reply is
// <internal-server-error/>, once, wherever the handler runs and however far it got. The
// same goes for a stanza whose hook panics. The stream continues.
func TestExtensionsPanic(t *testing.T) {
	left := new(atomic.Int64)
	handler := func(name string, blocking bool, f func(*router.Request)) router.IQ {
		return router.IQ{Space: "urn:" + name, Local: "x", Methods: router.Get | router.Set, Targets: router.ToSelf, Blocking: blocking, Handle: f}
	}
	half := func(rq *router.Request) {
		rq.Result(func(b []byte) []byte {
			_ = append(rq.Turn.GetBuf(), "nested"...)
			panic("half of a result")
		})
	}
	inline := handler("inline", true, (*router.Request).Empty)
	inline.Inline = func(*router.Request) bool { panic("on the loop") }
	var cfg xmpptest.Config
	cfg.Router.Extensions = []router.Extension{{
		Name: "brittle", Title: "test",
		IQ: []router.IQ{
			handler("at-once", false, func(*router.Request) { panic("at once") }),
			handler("worker", true, func(*router.Request) { panic("on a worker") }),
			handler("half", false, half),
			handler("half-worker", true, half),
			handler("after", false, func(rq *router.Request) { rq.Empty(); panic("after the answer") }),
			handler("twice", true, func(rq *router.Request) { rq.Empty(); rq.Empty() }),
			inline,
		},
		Incoming: func(t *session.Turn, _ router.Sender, st *stanza.Stanza) router.Verdict {
			if string(st.ID) == "hook" {
				_ = append(t.GetBuf(), "half"...)
				panic("in a hook")
			}
			return router.Pass
		},
		Left: func(*session.Turn, *session.Session) { panic("at the end") },
	}, {
		Name: "next", Title: "test",
		Left: func(*session.Turn, *session.Session) { left.Add(1) },
	}}
	s := xmpptest.NewServer(t, cfg)
	romeo, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	nurse.say("<presence/>", "<presence ")
	panics := int64(0)
	f := func(text, want string) {
		t.Helper()
		romeo.got, romeo.used = "", 0
		romeo.write(text)
		romeo.sync()
		panics++
		if strings.Count(romeo.got, want) != 1 || strings.Count(romeo.got, " id='p'")+strings.Count(romeo.got, " id='hook'") != 1 {
			t.Errorf("%s gets the reply %s\nwant %s, once", text, romeo.got, want)
		}
		if got := s.Sessions.Panics(); got != panics {
			t.Errorf("%s: %d panics were counted, want %d", text, got, panics)
		}
		// Other sessions on the loop, and their shared memory, still work.
		romeo.say("<message to='nurse@localhost/r'><body>whole</body></message>", "")
		nurse.await("<body>whole</body></message>")
	}
	for _, kind := range []string{"get", "set"} {
		for _, name := range []string{"at-once", "worker", "half", "half-worker", "inline"} {
			f("<iq type='"+kind+"' id='p'><x xmlns='urn:"+name+"'/></iq>", "<internal-server-error ")
		}
		for _, name := range []string{"after", "twice"} {
			f("<iq type='"+kind+"' id='p'><x xmlns='urn:"+name+"'/></iq>", "type='result' id='p'")
		}
	}
	f("<message to='nurse@localhost/r' id='hook'/>", "<internal-server-error ")
	f("<iq type='get' id='hook'><ping xmlns='urn:xmpp:ping'/></iq>", "<internal-server-error ")
	romeo.say("</stream:stream>", "</stream:stream>")
	xmpptest.Eventually(t, "the second extension to be called", func() bool { return left.Load() == 1 })
}

// TestPanicsReleaseLocks: a store that panics while a roster is read or changed ends that
// stream; the roster can still be read and changed afterwards.
func TestPanicsReleaseLocks(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.RosterCache = 1
	s, st := slowServer(t, cfg)
	for _, method := range []string{"ApplyRoster", "Roster"} {
		romeo := loginRaw(t, s, "romeo", plainHeader)
		st.SetFault(func(m string) error {
			if m == method {
				panic("the store is broken")
			}
			return nil
		})
		romeo.say("<presence type='subscribe' to='juliet@localhost'/>", "<stream:error><internal-server-error ")
		romeo.await("</stream:stream>")
		st.SetFault(nil)
		xmpptest.Eventually(t, "romeo to have left", func() bool { return s.Sessions.First("romeo@localhost") == nil })
		for _, user := range []string{"romeo", "juliet"} {
			c := loginRaw(t, s, user, plainHeader)
			c.say("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>", "id='get'")
			c.say("<iq type='set' id='set'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "type='result' id='set'")
			c.write("<presence type='subscribe' to='nurse@localhost'/>")
			c.sync()
			c.say("</stream:stream>", "</stream:stream>")
		}
		xmpptest.Eventually(t, "them to have left", func() bool { return s.Sessions.Counts().Bound == 0 })
	}
	if _, err := s.Router.Roster(jid.MustParse("romeo@localhost")); err != nil {
		t.Error(err)
	}
}
