package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// TestTook: an extension can determine exactly which resources received a message.
func TestTook(t *testing.T) {
	f := func(highestOnly bool, messages map[string]string) {
		t.Helper()
		var c calls
		var r *router.Router
		var cfg xmpptest.Config
		cfg.Router.HighestOnly = highestOnly
		cfg.Router.Extensions = []router.Extension{{
			Name: "took", Title: "test",
			Ready: func(of *router.Router, _ *router.Extension) { r = of },
			Delivered: func(_ *session.Turn, _ router.Sender, to jid.JID, st *stanza.Stanza, taken router.Taken) session.Work {
				for s := range r.Recipients(to.BareString(), router.Connected) {
					if r.Took(s, st, taken) {
						c.add("%s", s.Resource())
					}
				}
				return session.Done
			},
		}}
		srv := xmpptest.NewServer(t, cfg)
		romeo := loginRaw(t, srv, "romeo", plainHeader)
		juliets := make(map[string]*rawClient)
		for resource, presence := range map[string]string{
			"high": "<presence><priority>5</priority></presence>",
			"low":  "<presence/>",
			"away": "<presence><priority>-1</priority></presence>",
			"none": "",
		} {
			juliets[resource] = loginAs(t, srv, "juliet", resource, plainHeader)
			juliets[resource].write(presence)
			juliets[resource].sync()
		}
		var sent []string
		for attrs, want := range messages {
			id := fmt.Sprintf("id='%d'", len(sent))
			sent = append(sent, attrs)
			romeo.write("<message " + id + " " + attrs + "/>")
			romeo.sync()
			took := strings.Fields(c.take())
			slices.Sort(took)
			var got []string
			for resource, juliet := range juliets {
				if juliet.sync(); strings.Contains(juliet.got, id) {
					got = append(got, resource)
				}
			}
			slices.Sort(got)
			if !slices.Equal(took, got) || strings.Join(took, " ") != want {
				t.Errorf("%s, to the highest priority only: %v: took %q, got by %q, want %q", attrs, highestOnly, took, got, want)
			}
		}
	}
	f(false, map[string]string{
		"to='juliet@localhost'":                    "high low",
		"to='juliet@localhost' type='headline'":    "high low",
		"to='juliet@localhost/away'":               "away",
		"to='juliet@localhost/none' type='chat'":   "none",
		"to='juliet@localhost/gone' type='chat'":   "high low",
		"to='juliet@localhost/gone' type='normal'": "",
	})
	f(true, map[string]string{
		"to='juliet@localhost'":                  "high",
		"to='juliet@localhost' type='headline'":  "high low",
		"to='juliet@localhost/low'":              "low",
		"to='juliet@localhost/gone' type='chat'": "high",
	})
}
