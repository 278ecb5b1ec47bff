package store

import (
	"regexp"
	"testing"
	"time"

	"roost/jid"
)

// TestInvitationURIs: the URIs are those of XEP-0401, with everything escaped that is special
// in one.
func TestInvitationURIs(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	i := Invitation{Domain: "example.com", Inviter: "inviter@example.com"}
	f(i.AddURI("TOKEN"), "xmpp:inviter@example.com?roster;preauth=TOKEN;ibr=y")
	f(i.RegisterURI("TOKEN"), "xmpp:example.com?register;preauth=TOKEN")
	i.Localpart = "juliet"
	f(i.RegisterURI("TOKEN"), "xmpp:juliet@example.com?register;preauth=TOKEN")
	i = Invitation{Domain: "example.com", Localpart: "a?b;c#é", Inviter: "x%y@bücher.example"}
	f(i.RegisterURI("T"), "xmpp:a%3Fb%3Bc%23%C3%A9@example.com?register;preauth=T")
	f(i.AddURI("T"), "xmpp:x%25y@b%C3%BCcher.example?roster;preauth=T;ibr=y")
}

// TestInvitationTokens: tokens differ and need no escapes, and an ID does not have its token.
func TestInvitationTokens(t *testing.T) {
	a, b := NewInvitationToken(), NewInvitationToken()
	if !regexp.MustCompile(`^[a-z0-9]{26}$`).MatchString(a) || a == b || len(a) > MaxInvitationToken {
		t.Errorf("tokens %q and %q", a, b)
	}
	if !IsInvitationToken(a) || IsInvitationToken(a[1:]) || IsInvitationToken(a+"a") || IsInvitationToken(a[:12]+"/"+a[13:]) {
		t.Error("the form of tokens is wrong")
	}
	if id := InvitationID("TOKEN"); len(id) != 32 || id == InvitationID("TOKEO") {
		t.Errorf("ID %q", id)
	}
}

// TestInvitationIsFor: an invitation is for one name or for all, in one domain, while it has
// uses; and it is usable until it ends.
func TestInvitationIsFor(t *testing.T) {
	now := time.Unix(1e9, 0)
	romeo, juliet := jid.MustParse("romeo@example.com"), jid.MustParse("juliet@example.com")
	one, any := Invitation{Domain: "example.com", Localpart: "romeo", Uses: 1, Until: now}, Invitation{Domain: "example.com", Uses: 1, Until: now}
	used := one
	used.Uses = 0
	if !one.For(romeo) || one.For(juliet) || !any.For(juliet) || any.For(jid.MustParse("juliet@example.net")) || used.For(romeo) {
		t.Error("an invitation is for the wrong accounts")
	}
	before := now.Add(-time.Second)
	if !one.Usable(before) || one.Usable(now) || used.Usable(before) {
		t.Error("an invitation is usable at the wrong time")
	}
	if !one.Reserves(romeo, before) || one.Reserves(romeo, now) || one.Reserves(juliet, before) || any.Reserves(juliet, before) || used.Reserves(romeo, before) {
		t.Error("an invitation reserves the wrong names")
	}
}
