package xep_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/server"
	"roost/session"
	"roost/store"
	"roost/store/stores"
	"roost/xep"
)

var contacts = map[string][]string{
	"abuse": {"mailto:abuse@localhost"},
	"admin": {"mailto:xmpp@localhost", "xmpp:admin@localhost"},
}

var outageStatus = []string{"https://status.example.org/outage.json"}

// TestDialogues plays the dialogues of all extensions in memory.
func TestDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/*.txt", dialogueConfig)
}

// TestDialoguesOnNodes plays them with their clients on two nodes of a cluster.
func TestDialoguesOnNodes(t *testing.T) {
	xmpptest.RunOnNodes(t, "testdata/*.txt", dialogueConfig)
}

func dialogueConfig(name string) xmpptest.Config {
	cfg := xep.Config{Register: true, Iterations: store.MinIterations, Contacts: contacts, OutageStatus: outageStatus}
	switch strings.TrimSuffix(filepath.Base(name), ".txt") {
	case "preauth", "commands", "invitation":
		cfg.Register, cfg.Invitations, cfg.MaxInvitations = false, xep.InviteUsers, 4
	}
	return xmpptest.Config{XEP: cfg}
}

// TestDialoguesOverSockets plays them against the complete server, with a new server for
// each.
func TestDialoguesOverSockets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			d, err := xmpptest.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) {
				url, dir := k.URL(t), t.TempDir()
				cfg := dialogueConfig(file).XEP
				addr, stop := startServer(t, url, dir, cfg)
				p := xmpptest.Player{
					Dial: func() (net.Conn, error) { return net.Dial("tcp", addr) },
					Restart: func() error {
						stop()
						addr, stop = startServer(t, url, dir, cfg)
						return nil
					},
				}
				if err := p.Play(d); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// startServer starts a server on loopback that uses the store at url, and returns its
// address. stop stops it before the test ends.
func startServer(t *testing.T, url, dir string, cfg xep.Config) (addr string, stop func()) {
	t.Helper()
	st, err := stores.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(t.Context(), st, "localhost"); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), server.Config{
		C2S: "127.0.0.1:0", DataDir: dir, Store: url,
		Session: session.Config{AllowPlaintext: true, Linger: 100 * time.Millisecond}, // clients do not close their connections at a restart
		XEP:     cfg,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s.Addrs()[0].Addr.String(), stop
}
