package router_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
)

// TestDialogues plays dialogues from RFC 6121. The files are named after the rows of
// docs/internals/behaviours.md that they test.
func TestDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/*.txt", dialogueConfig)
}

// TestDurableDialogues: with messages stored before they are delivered, the dialogues about
// messages are the same.
func TestDurableDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/5*.txt", durableConfig)
}

func durableConfig(name string) xmpptest.Config {
	cfg := dialogueConfig(name)
	cfg.Router.Durable = cfg.Router.MaxOffline >= 0
	return cfg
}

// dialogueConfig returns the configuration of the server for a dialogue.
func dialogueConfig(name string) (cfg xmpptest.Config) {
	switch {
	case strings.Contains(name, "highest"):
		cfg.Router = router.Config{HighestOnly: true}
	case strings.Contains(name, "many-requests"):
		cfg.Router = router.Config{MaxRequests: 2}
	case strings.Contains(name, "no-offline"):
		cfg.Router = router.Config{MaxOffline: -1}
	case strings.Contains(name, "quota"):
		cfg.Router = router.Config{MaxOffline: 1}
	}
	return cfg
}
