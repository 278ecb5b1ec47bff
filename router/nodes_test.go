package router_test

import (
	"testing"

	"roost/internal/xmpptest"
)

// TestDialoguesOnNodes plays the dialogues with their clients on two nodes of a cluster.
func TestDialoguesOnNodes(t *testing.T) {
	xmpptest.RunOnNodes(t, "testdata/*.txt", dialogueConfig)
}

// TestDurableDialoguesOnNodes is TestDurableDialogues on two nodes.
func TestDurableDialoguesOnNodes(t *testing.T) {
	xmpptest.RunOnNodes(t, "testdata/5*.txt", durableConfig)
}
