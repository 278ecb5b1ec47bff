package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// recipients is the only file in which the router and the extensions look up the sessions
// of an account, so that recipients on other servers can be added in one place.
const recipients = "router/recipients.go"

// TestRecipients: the router and the extensions iterate over an account's sessions, or
// look one up by full JID, in one place only.
func TestRecipients(t *testing.T) {
	seen := false
	for _, s := range sources(t, "../..", false) {
		if s.pkg() != "router" && s.pkg() != "xep" {
			continue
		}
		for _, at := range lookups(s) {
			if s.name == recipients {
				seen = true
				continue
			}
			t.Errorf("%s: use Router.Recipients, or add to %s", at, recipients)
		}
	}
	if !seen {
		t.Errorf("%s contains no lookup", recipients)
	}
}

// lookups returns the calls of First and Find of a session manager: on a field named
// sessions, or on the result of a method named Sessions.
func lookups(s source) (found []string) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "First" && sel.Sel.Name != "Find" {
			return true
		}
		x := sel.X
		if call, ok := x.(*ast.CallExpr); ok {
			x = call.Fun
		}
		if of, ok := x.(*ast.SelectorExpr); ok && slices.Contains([]string{"sessions", "Sessions"}, of.Sel.Name) {
			found = append(found, s.at(sel))
		}
		return true
	})
	return found
}

// TestLookupIsSeen: the check finds violations.
func TestLookupIsSeen(t *testing.T) {
	const text = `package p
func a() { r.sessions.First("a"); r.Sessions().Find("a", "b"); el.First(); r.sessions.Counts() }
func b() { f := l.r.sessions.First; f("a") }
`
	s := source{name: "router/p.go", set: token.NewFileSet()}
	var err error
	if s.file, err = parser.ParseFile(s.set, s.name, text, 0); err != nil {
		t.Fatal(err)
	}
	if got, want := lookups(s), []string{"router/p.go:2", "router/p.go:2", "router/p.go:3"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
