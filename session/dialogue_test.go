package session_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/session"
)

// TestDialogues plays dialogues for what RFC 6120 requires of streams, SASL and binding.
// The files are named by their lines in docs/internals/behaviours.md.
func TestDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/*.txt", dialogueConfig)
}

// TestDialoguesOnNodes plays the dialogues with their clients on two nodes of a cluster.
func TestDialoguesOnNodes(t *testing.T) {
	xmpptest.RunOnNodes(t, "testdata/*.txt", dialogueConfig)
}

// dialogueConfig returns the configuration of the server for a dialogue.
func dialogueConfig(name string) (cfg xmpptest.Config) {
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
}
