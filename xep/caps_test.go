package xep

import (
	"testing"

	"roost/router"
)

// TestVerificationString tests the two examples of XEP-0115 sections 5.2 and 5.3.
func TestVerificationString(t *testing.T) {
	f := func(i info, want string) {
		t.Helper()
		if got := i.ver(); got != want {
			t.Errorf("ver %s, want %s", got, want)
		}
	}
	features := []string{
		"http://jabber.org/protocol/disco#info",
		"http://jabber.org/protocol/muc",
		"http://jabber.org/protocol/caps",
		"http://jabber.org/protocol/disco#items",
	}
	f(info{
		identities: []identity{{category: "client", kind: "pc", name: "Exodus 0.9.1"}},
		features:   features,
	}, "QgayPKawpkPSDYmwT/WM94uAlu0=")

	f(info{
		identities: []identity{
			{category: "client", kind: "pc", lang: "en", name: "Psi 0.11"},
			{category: "client", kind: "pc", lang: "el", name: "Ψ 0.11"},
		},
		features: features,
		forms: []router.Form{{
			Type: "urn:xmpp:dataforms:softwareinfo",
			Fields: []router.Field{
				{Var: "software_version", Values: []string{"0.11"}},
				{Var: "os", Values: []string{"Mac"}},
				{Var: "ip_version", Type: "text-multi", Values: []string{"ipv6", "ipv4"}},
				{Var: "os_version", Values: []string{"10.5.1"}},
				{Var: "software", Values: []string{"Psi"}},
			},
		}},
	}, "q07IKJEyjvHSyhy//CH0CxmKi8w=")
}

// TestInfoHasNoDuplicates: "If the response includes more than one service discovery
// feature with the same XML character data, consider the entire response to be ill-formed"
// (XEP-0115 section 5.4, https://xmpp.org/extensions/xep-0115.html#ver-proc).
func TestInfoHasNoDuplicates(t *testing.T) {
	i := info{features: []string{"b", "a", "b"}}.sort()
	if len(i.features) != 2 || i.features[0] != "a" {
		t.Errorf("features %q, want a and b", i.features)
	}
}
