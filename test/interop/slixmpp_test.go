//go:build interop

package interop

import (
	"path/filepath"
	"testing"
)

// python is Debian's interpreter: another one in the path would not have Debian's packages.
const python = "/usr/bin/python3"

// inPython returns the script folder/name.py with arguments.
func inPython(folder, name string, args ...string) script {
	desc := name
	for _, arg := range args {
		desc += " " + arg
	}
	return script{desc: desc, argv: append([]string{python, filepath.Join(folder, name+".py")}, args...)}
}

// TestSlixmpp runs the scenarios in folder slixmpp (slixmpp 1.8.3).
func TestSlixmpp(t *testing.T) { runSlixmpp(t, newServer(t)) }

func runSlixmpp(t *testing.T, s *server) {
	t.Helper()
	scripts := []script{
		inPython("slixmpp", "login", "starttls"),
		inPython("slixmpp", "login", "direct"),
		inPython("slixmpp", "login", "starttls", "SCRAM-SHA-1"),
		inPython("slixmpp", "login", "starttls", "SCRAM-SHA-256"),
		inPython("slixmpp", "login", "direct", "PLAIN"),
		inPython("slixmpp", "refused"),
		inPython("slixmpp", "two_resources"),
		inPython("slixmpp", "roster"),
		inPython("slixmpp", "subscribe"),
		inPython("slixmpp", "chat"),
		inPython("slixmpp", "offline"),
		inPython("slixmpp", "vcard"),
		inPython("slixmpp", "register"),
		inPython("slixmpp", "conflict"),
		inPython("slixmpp", "extensions"),
		inPython("slixmpp", "management", "on"),
		inPython("slixmpp", "management", "off"),
		inPython("slixmpp", "resume", "cut"),
		inPython("slixmpp", "resume", "lose"),
		inPython("slixmpp", "carbons"),
		inPython("slixmpp", "blocking"),
		inPython("slixmpp", "inactive"),
		inPython("slixmpp", "transcript"),
		inPython("slixmpp", "pipeline", "starttls", "restart"),
		inPython("slixmpp", "pipeline", "direct", "restart"),
		inPython("slixmpp", "pipeline", "starttls", "whole"),
		inPython("slixmpp", "pipeline", "direct", "whole"),
	}
	t.Run("scenarios", func(t *testing.T) { runAll(t, s, scripts) })
}

// TestSlixmppRestart stops and starts the server while clients are connected.
func TestSlixmppRestart(t *testing.T) {
	s := newServer(t)
	if !s.restartable() {
		t.Skip("the server under test was not started by this test (INTEROP_START)")
	}
	for _, name := range []string{"restart", "planned"} {
		inPython("slixmpp", name).run(t, s)
	}
}
