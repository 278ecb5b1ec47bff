package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestBlockFiles: files block networks and accounts from the start on, and, after a reload that
// has read others, their sessions end. A file with a mistake changes nothing.
func TestBlockFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blocks")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("127.0.2.0/24 ; spam\n")
	s := startServer(t, func(c *Config) { c.BlockFiles = []string{name} })
	from(t, s, "127.0.2.1").closes()
	network, account := from(t, s, "127.0.3.1").login("juliet", "r"), from(t, s, "127.0.4.1").login("romeo", "r")
	half, other := from(t, s, "127.0.4.1").authenticate("romeo"), from(t, s, "127.0.4.1").login("juliet", "s")

	write("127.0.3.0/24\nromeo\n")
	err := s.tryReload(func(*Config) {})
	var field *FieldError
	if want := "block file: " + name + `:2: "romeo" is not`; !errors.As(err, &field) || field.Field != "BlockFiles" || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	from(t, s, "127.0.2.1").closes()
	network.ask(pingServer, "id='p'")

	write("127.0.3.0/24\nromeo@localhost\n")
	s.reload(t, func(*Config) {})
	network.ask("", "This network is blocked.</text></stream:error></stream:stream>")
	account.ask("", "This account is blocked.</text></stream:error></stream:stream>")
	half.ask("", "This account is blocked.</text></stream:error></stream:stream>")
	other.ask(pingServer, "id='p'")
	from(t, s, "127.0.3.9").closes()
	from(t, s, "127.0.2.1").login("juliet", "t")

	// They are not on the list of the store, and cannot be removed from it.
	if err := unblock(t.Context(), adminOf(t, s), "romeo@localhost"); err == nil || !strings.Contains(err.Error(), "block files") {
		t.Error(err)
	}
	s.reload(t, func(c *Config) { c.BlockFiles = nil })
	from(t, s, "127.0.3.9").login("romeo", "r")
}

// TestBlockOnNodes: what an administrator of one node blocks is soon blocked on the others, and
// their sessions end.
func TestBlockOnNodes(t *testing.T) {
	pgtest.Shared(t)
	tick := ticks(t, blockRefresh)
	nodes := newTestNodes(t, redistest.Start(t).URL())
	a, b := startServer(t, nodes.config("a")), newServer(t, nodes.config("b"))
	bound, network := connect(t, b).login("juliet", "j"), from(t, b, "127.0.3.1").login("romeo", "r")
	for _, target := range []string{"juliet@localhost", "127.0.3.0/24"} {
		if result, err := block(t.Context(), adminOf(t, a), api.BlockRequest{Target: target, Reason: "spam"}); err != nil || result.Sessions != 0 {
			t.Errorf("%+v %v", result, err)
		}
	}
	refreshed := func(want bool) {
		t.Helper()
		xmpptest.Eventually(t, "the other node looks", func() bool {
			tick(blockRefresh) // one of both gets it
			_, found := b.blocks.Account("juliet@localhost")
			return found == want
		})
	}
	refreshed(true)
	bound.ask("", "spam</text></stream:error></stream:stream>")
	network.ask("", "This network is blocked.</text></stream:error></stream:stream>")
	if err := unblock(t.Context(), adminOf(t, a), "juliet@localhost"); err != nil {
		t.Error(err)
	}
	refreshed(false)
	connect(t, b).login("juliet", "j")
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
