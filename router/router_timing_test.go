//go:build !race

package router_test

import "testing"

// BenchmarkRoute is a stanza's way above the socket: parsed, routed, written to
// the recipient's outbox.
func BenchmarkRoute(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"chat", chat},
		{"presence", "<presence><show>away</show></presence>"},
		{"ping", "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"},
	} {
		b.Run(c.name, func(b *testing.B) {
			romeo, juliet := pair(b)
			stanza := []byte(c.text)
			b.SetBytes(int64(len(stanza)))
			b.ReportAllocs()
			for b.Loop() {
				romeo.out, juliet.out = romeo.out[:0], juliet.out[:0]
				romeo.give(stanza)
			}
		})
	}
}
