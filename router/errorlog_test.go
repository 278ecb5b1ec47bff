package router_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"roost/internal/loglimit"
	"roost/internal/xmpptest"
	"roost/jid"
)

// TestErrorLog: while the store fails, very many requests, probes and logins meet the same error. The
// log has some of them.
func TestErrorLog(t *testing.T) { synctest.Test(t, testErrorLog) }

func testErrorLog(t *testing.T) {
	var log syncBuffer
	s, st := slowServer(t, xmpptest.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	fails := func(ops ...string) {
		st.SetFault(func(op string) error {
			for _, o := range ops {
				if op == o {
					return errors.New("no connection")
				}
			}
			return nil
		})
	}
	f := func(what string, once func(i int)) {
		t.Helper()
		for i := range 2 * loglimit.Lines {
			once(i)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != loglimit.Lines {
			t.Errorf("%s: %d lines, want %d", what, n, loglimit.Lines)
		}
	}
	fails("ApplyRoster")
	f("requests", func(int) { romeo.ask(addFriar) })
	fails("Roster")
	f("probes", func(int) { romeo.ask("<presence type='probe' to='juliet@localhost'/>") })
	fails("LoginState")
	f("logins", func(i int) { loginAs(t, s, "juliet", fmt.Sprintf("j%d", i%5), plainHeader) })
}

// TestBindErrorLog: the same holds for clients whose account has events that cannot be read, also
// if they want to resume a session.
func TestBindErrorLog(t *testing.T) { synctest.Test(t, testBindErrorLog) }

func testBindErrorLog(t *testing.T) {
	var log syncBuffer
	s, st := slowServer(t, xmpptest.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := s.Store.SetDisabled(t.Context(), jid.MustParse("juliet@localhost"), false); err != nil {
		t.Fatal(err)
	}
	st.SetFault(func(op string) error {
		if op == "AccountEvents" {
			return errors.New("no connection")
		}
		return nil
	})
	for range 2 * loglimit.Lines {
		c := loginRaw(t, s, "juliet", plainHeader)
		if !strings.Contains(c.got, "<internal-server-error ") {
			t.Fatalf("the resource was bound: %s", c.got)
		}
	}
	if n := strings.Count(log.String(), "binding refused"); n != loglimit.Lines {
		t.Errorf("%d lines, want %d", n, loglimit.Lines)
	}
	c := dialRaw(t, s)
	authenticate(c, "juliet", plainHeader)
	c.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>")
	c.await("<failed ")
	if !strings.Contains(c.got, "<internal-server-error ") || strings.Contains(log.String(), "resumption refused") {
		t.Errorf("%s; the log: %s", c.got, log.String())
	}
}
