package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// recipients is where the router and the extensions find the sessions of an account,
// so that those of other servers have one place to be added.
const recipients = "router/recipients.go"

// TestRecipients: the router and the extensions walk an account's sessions, or look
// one up by its full JID, in one place only.
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
		t.Errorf("%s looks nothing up", recipients)
	}
}

// lookups lists the calls of First and Find of a session manager: of a field named
// sessions, or of what a method named Sessions returns.
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

// TestLookupIsSeen: the test above finds what it is there to find.
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
