package router

import (
	"testing"

	"roost/stanza"
	"roost/store"
)

// states are the nine states of RFC 6121 appendix A.1.
var states = map[string]subState{
	"None":                  {},
	"None + Pending Out":    {ask: true},
	"None + Pending In":     {pendingIn: true},
	"None + Pending Out+In": {ask: true, pendingIn: true},
	"To":                    {sub: store.To},
	"To + Pending In":       {sub: store.To, pendingIn: true},
	"From":                  {sub: store.From},
	"From + Pending Out":    {sub: store.From, ask: true},
	"Both":                  {sub: store.Both},
}

// TestOutbound checks the tables of appendix A.2
// (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.2): "ROUTE?" and "NEW STATE" for each
// of the user's states and each stanza that the user's client sends.
func TestOutbound(t *testing.T) {
	f := func(event stanza.Type, from string, route bool, to string) {
		t.Helper()
		next, got := states[from].outbound(event)
		want, ok := states[to]
		if !ok {
			t.Fatalf("no state %q", to)
		}
		// Pre-approval is not in the tables; it has its own test.
		next.approved = false
		if next != want || got != route {
			t.Errorf("%v in %q: %+v, routed %v; want %q, routed %v", event, from, next, got, to, route)
		}
	}
	// A.2.1
	f(stanza.Subscribe, "None", true, "None + Pending Out")
	f(stanza.Subscribe, "None + Pending Out", true, "None + Pending Out")
	f(stanza.Subscribe, "None + Pending In", true, "None + Pending Out+In")
	f(stanza.Subscribe, "None + Pending Out+In", true, "None + Pending Out+In")
	f(stanza.Subscribe, "To", true, "To")
	f(stanza.Subscribe, "To + Pending In", true, "To + Pending In")
	f(stanza.Subscribe, "From", true, "From + Pending Out")
	f(stanza.Subscribe, "From + Pending Out", true, "From + Pending Out")
	f(stanza.Subscribe, "Both", true, "Both")
	// A.2.2
	f(stanza.Unsubscribe, "None", true, "None")
	f(stanza.Unsubscribe, "None + Pending Out", true, "None")
	f(stanza.Unsubscribe, "None + Pending In", true, "None + Pending In")
	f(stanza.Unsubscribe, "None + Pending Out+In", true, "None + Pending In")
	f(stanza.Unsubscribe, "To", true, "None")
	f(stanza.Unsubscribe, "To + Pending In", true, "None + Pending In")
	f(stanza.Unsubscribe, "From", true, "From")
	f(stanza.Unsubscribe, "From + Pending Out", true, "From")
	f(stanza.Unsubscribe, "Both", true, "From")
	// A.2.3
	f(stanza.Subscribed, "None", false, "None")
	f(stanza.Subscribed, "None + Pending Out", false, "None + Pending Out")
	f(stanza.Subscribed, "None + Pending In", true, "From")
	f(stanza.Subscribed, "None + Pending Out+In", true, "From + Pending Out")
	f(stanza.Subscribed, "To", false, "To")
	f(stanza.Subscribed, "To + Pending In", true, "Both")
	f(stanza.Subscribed, "From", false, "From")
	f(stanza.Subscribed, "From + Pending Out", false, "From + Pending Out")
	f(stanza.Subscribed, "Both", false, "Both")
	// A.2.4
	f(stanza.Unsubscribed, "None", false, "None")
	f(stanza.Unsubscribed, "None + Pending Out", false, "None + Pending Out")
	f(stanza.Unsubscribed, "None + Pending In", true, "None")
	f(stanza.Unsubscribed, "None + Pending Out+In", true, "None + Pending Out")
	f(stanza.Unsubscribed, "To", false, "To")
	f(stanza.Unsubscribed, "To + Pending In", true, "To")
	f(stanza.Unsubscribed, "From", true, "None")
	f(stanza.Unsubscribed, "From + Pending Out", true, "None + Pending Out")
	f(stanza.Unsubscribed, "Both", true, "To")
}

// TestInbound checks the tables of appendix A.3
// (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.3): "DELIVER?" and "NEW STATE" for
// each of the contact's states and each stanza that arrives.
func TestInbound(t *testing.T) {
	f := func(event stanza.Type, from string, deliver, answer bool, to string) {
		t.Helper()
		next, gotDeliver, gotAnswer := states[from].inbound(event)
		if next != states[to] || gotDeliver != deliver || gotAnswer != answer {
			t.Errorf("%v in %q: %+v, delivered %v, answered %v; want %q, %v, %v",
				event, from, next, gotDeliver, gotAnswer, to, deliver, answer)
		}
	}
	// A.3.1 (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.3.1): "the server SHOULD
	// auto-reply" if there is a subscription.
	f(stanza.Subscribe, "None", true, false, "None + Pending In")
	f(stanza.Subscribe, "None + Pending Out", true, false, "None + Pending Out+In")
	f(stanza.Subscribe, "None + Pending In", false, false, "None + Pending In")
	f(stanza.Subscribe, "None + Pending Out+In", false, false, "None + Pending Out+In")
	f(stanza.Subscribe, "To", true, false, "To + Pending In")
	f(stanza.Subscribe, "To + Pending In", false, false, "To + Pending In")
	f(stanza.Subscribe, "From", false, true, "From")
	f(stanza.Subscribe, "From + Pending Out", false, true, "From + Pending Out")
	f(stanza.Subscribe, "Both", false, true, "Both")
	// A.3.2
	f(stanza.Unsubscribe, "None", false, false, "None")
	f(stanza.Unsubscribe, "None + Pending Out", false, false, "None + Pending Out")
	f(stanza.Unsubscribe, "None + Pending In", true, false, "None")
	f(stanza.Unsubscribe, "None + Pending Out+In", true, false, "None + Pending Out")
	f(stanza.Unsubscribe, "To", false, false, "To")
	f(stanza.Unsubscribe, "To + Pending In", true, false, "To")
	f(stanza.Unsubscribe, "From", true, false, "None")
	f(stanza.Unsubscribe, "From + Pending Out", true, false, "None + Pending Out")
	f(stanza.Unsubscribe, "Both", true, false, "To")
	// A.3.3
	f(stanza.Subscribed, "None", false, false, "None")
	f(stanza.Subscribed, "None + Pending Out", true, false, "To")
	f(stanza.Subscribed, "None + Pending In", false, false, "None + Pending In")
	f(stanza.Subscribed, "None + Pending Out+In", true, false, "To + Pending In")
	f(stanza.Subscribed, "To", false, false, "To")
	f(stanza.Subscribed, "To + Pending In", false, false, "To + Pending In")
	f(stanza.Subscribed, "From", false, false, "From")
	f(stanza.Subscribed, "From + Pending Out", true, false, "Both")
	f(stanza.Subscribed, "Both", false, false, "Both")
	// A.3.4
	f(stanza.Unsubscribed, "None", false, false, "None")
	f(stanza.Unsubscribed, "None + Pending Out", true, false, "None")
	f(stanza.Unsubscribed, "None + Pending In", false, false, "None + Pending In")
	f(stanza.Unsubscribed, "None + Pending Out+In", true, false, "None + Pending In")
	f(stanza.Unsubscribed, "To", true, false, "None")
	f(stanza.Unsubscribed, "To + Pending In", true, false, "None + Pending In")
	f(stanza.Unsubscribed, "From", false, false, "From")
	f(stanza.Unsubscribed, "From + Pending Out", true, false, "From")
	f(stanza.Unsubscribed, "Both", true, false, "From")
}

// TestPreApproval: RFC 6121 section 3.4
// (https://www.rfc-editor.org/rfc/rfc6121#section-3.4): 'subscribed' without a request is
// remembered, a later request is granted without asking, and 'unsubscribed' revokes the
// pre-approval.
func TestPreApproval(t *testing.T) {
	for name, s := range states {
		next, route := s.outbound(stanza.Subscribed)
		if want := !s.pendingIn && !s.sub.HasFrom(); next.approved != want {
			t.Errorf("%q: approved is %v, want %v", name, next.approved, want)
		}
		if !next.approved {
			continue
		}
		if route {
			t.Errorf("%q: a pre-approval is routed", name)
		}
		granted, deliver, answer := next.inbound(stanza.Subscribe)
		if !granted.sub.HasFrom() || granted.pendingIn || deliver || !answer {
			t.Errorf("%q: a pre-approved request leads to %+v, delivered %v, answered %v", name, granted, deliver, answer)
		}
		if back, _ := next.outbound(stanza.Unsubscribed); back.approved {
			t.Errorf("%q: 'unsubscribed' leaves the pre-approval", name)
		}
	}
}
