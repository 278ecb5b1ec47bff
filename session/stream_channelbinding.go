package session

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"

	"github.com/xdg-go/scram"
)

// channelBindings has the values that tie an authentication to its TLS channel.
type channelBindings struct {
	exporter scram.ChannelBinding // tls-exporter, RFC 9266; TLS 1.3 only
	unique   scram.ChannelBinding // tls-unique, RFC 5929; TLS 1.2 only
	endpoint scram.ChannelBinding // tls-server-end-point, RFC 5929
}

// bindingsOf computes the bindings of a TLS channel, once after the handshake. leaf is the
// server's certificate. A binding is not offered if computing it fails or if it needs leaf
// and leaf is nil.
func (e *endpoints) bindingsOf(state *tls.ConnectionState, leaf *x509.Certificate) channelBindings {
	var c channelBindings
	if state.Version >= tls.VersionTLS13 {
		c.exporter, _ = scram.NewTLSExporterBinding(state)
	} else if state.TLSUnique != nil {
		// COMPAT: gloox 1.0 supports no other binding. Go leaves TLSUnique empty where it
		// would be unsafe.
		c.unique = scram.NewTLSUniqueBinding(state.TLSUnique)
	}
	if leaf != nil {
		c.endpoint = e.of(leaf)
	}
	return c
}

// endpoints computes tls-server-end-point, and keeps the last one: most servers have one
// certificate.
type endpoints struct{ last atomic.Pointer[endpoint] }

type endpoint struct {
	leaf    *x509.Certificate
	binding scram.ChannelBinding
}

// of returns the binding of a certificate.
func (e *endpoints) of(leaf *x509.Certificate) scram.ChannelBinding {
	if last := e.last.Load(); last != nil && last.leaf == leaf {
		return last.binding
	}
	// The library is written for clients, which find the server's certificate among those
	// of the peer.
	binding, _ := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
	})
	e.last.Store(&endpoint{leaf, binding})
	return binding
}

// all returns the bindings, the best one first; some may not be supported.
func (c *channelBindings) all() [3]scram.ChannelBinding {
	return [...]scram.ChannelBinding{c.exporter, c.unique, c.endpoint}
}

// byType returns the binding with this name, or the best one if name is "".
func (c channelBindings) byType(name string) scram.ChannelBinding {
	for _, b := range c.all() {
		if b.IsSupported() && (name == "" || name == string(b.Type)) {
			return b
		}
	}
	return scram.ChannelBinding{}
}

func (c channelBindings) any() bool { return c.byType("").IsSupported() }

// appendXML appends the list of bindings ([XEP-0440]).
//
// [XEP-0440]: https://xmpp.org/extensions/xep-0440.html
func (c channelBindings) appendXML(b []byte) []byte {
	if !c.any() {
		return b
	}
	b = append(b, "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>"...)
	for _, cb := range c.all() {
		if cb.IsSupported() {
			b = append(b, "<channel-binding type='"...)
			b = append(b, cb.Type...)
			b = append(b, "'/>"...)
		}
	}
	return append(b, "</sasl-channel-binding>"...)
}
