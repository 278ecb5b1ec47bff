//go:build interop

package interop

import "testing"

// TestAioxmpp logs in with channel binding and has a short session, with aioxmpp (0.13, using
// pyOpenSSL).
func TestAioxmpp(t *testing.T) {
	s := newServer(t)
	scripts := []script{
		inPython("aioxmpp", "plus", "none"),
		inPython("aioxmpp", "plus", "none", "direct", "1.2"),
		inPython("aioxmpp", "plus", "tls-exporter"),
		inPython("aioxmpp", "plus", "tls-exporter", "direct"),
		inPython("aioxmpp", "plus", "tls-server-end-point"),
		inPython("aioxmpp", "plus", "tls-server-end-point", "direct", "1.2"),
		inPython("aioxmpp", "plus", "wrong"),
	}
	if s.lenient {
		// For servers that support no other binding; roost need not offer it.
		scripts = append(scripts, inPython("aioxmpp", "plus", "tls-unique", "1.2"))
	}
	t.Run("scenarios", func(t *testing.T) { runAll(t, s, scripts) })
}
