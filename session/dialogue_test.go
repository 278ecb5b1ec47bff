package session_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/session"
)

// TestDialogues plays what RFC 6120 asks of streams, SASL and binding; the
// files are named by the lines of behaviour that they show.
func TestDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/*.txt", func(name string) xmpptest.Config {
		var cfg xmpptest.Config
		switch {
		case strings.Contains(name, "refuse"):
			cfg.Session.Conflict = session.RefuseNew
		case strings.Contains(name, "rename"):
			cfg.Session.Conflict = session.RenameNew
		}
		if strings.Contains(name, "max-resources") {
			cfg.Session.MaxResources = 2
		}
		return cfg
	})
}
