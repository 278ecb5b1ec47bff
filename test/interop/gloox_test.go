//go:build interop

package interop

import "testing"

// TestGloox runs the scenarios of gloox/session.cpp (gloox 1.0.24, GnuTLS, limited to TLS
// 1.2).
func TestGloox(t *testing.T) {
	s := newServer(t)
	binary := compile(t, "g++", "gloox", "gloox/session.cpp", "-std=c++17", "-lgloox")
	var scripts []script
	for _, name := range []string{"login", "plain", "direct", "refused", "friends", "register", "conflict"} {
		scripts = append(scripts, script{desc: name, argv: []string{binary, name}})
	}
	t.Run("scenarios", func(t *testing.T) { runAll(t, s, scripts) })
}
