package router_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"roost/internal/loglimit"
	"roost/internal/xmpptest"
)

// syncBuffer is a buffer for a log.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestReports: reports of abuse (XEP-0377) are logged without the user's words, only if they
// are valid and the block succeeds, and at a limited rate.
func TestReports(t *testing.T) {
	var log syncBuffer
	cfg := xmpptest.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	cfg.Router.MaxBlocked = 100
	s := xmpptest.NewServer(t, cfg)
	c := loginRaw(t, s, "juliet", plainHeader)
	report := func(address, attr, content string) string {
		return "<item jid='" + address + "'><report xmlns='urn:xmpp:reporting:1'" + attr + ">" + content + "</report></item>"
	}
	const spam = " reason='urn:xmpp:reporting:spam'"
	reported := func() int { return strings.Count(log.String(), "abuse reported") }
	f := func(item string, want ...string) {
		t.Helper()
		before := reported()
		c.ask(fmt.Sprintf(blockFormat, item))
		if got := reported() - before; got != len(want) {
			t.Errorf("%s: %d lines, want %d", item, got, len(want))
		}
		for _, line := range want {
			if !strings.Contains(log.String(), line) {
				t.Errorf("%s: no %s in %s", item, line, &log)
			}
		}
	}
	const who = `msg="abuse reported" jid=juliet@localhost/r target=`
	f(report("a@x", spam, "<text>secret words</text><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a@x'/><stanza-id xmlns='urn:xmpp:sid:0' id='2' by='a@x'/>"),
		who+"a@x reason=spam messages=2\n")
	f(report("b@x/r", " reason='urn:xmpp:reporting:abuse'", "")+report("c@x", " reason='secret:reason'", ""),
		who+"b@x/r reason=abuse messages=0\n", who+"c@x reason=other messages=0\n")
	f(report("d@x", "", "") + report("e@x", " reason=''", "") + report("f@x", " reason='urn:xmpp:reporting:'", "") +
		"<item jid='g@x'><report xmlns='urn:x'" + spam + "/></item>")
	f(report("a@@x", spam, ""))                   // fails
	f(report("h@x", spam, "") + "<item jid=''/>") // fails
	var many strings.Builder
	for i := range loglimit.Lines {
		many.WriteString(report(fmt.Sprintf("m%d@x", i), spam, ""))
	}
	c.ask(fmt.Sprintf(blockFormat, many.String()))
	if got := reported(); got != loglimit.Lines {
		t.Errorf("%d lines, want %d", got, loglimit.Lines)
	}
	if text := log.String(); strings.Contains(text, "secret") {
		t.Errorf("the log has what the user wrote: %s", text)
	}
}
