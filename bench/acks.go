package bench

import (
	"strconv"
	"sync/atomic"

	"roost/parser"
)

// Stream management (XEP-0198) and carbons (XEP-0280), as most clients of today use them.

const (
	smNS      = "urn:xmpp:sm:3"
	carbonsNS = "urn:xmpp:carbons:2"
	iqCarbons = "carbons"
)

// messagesPerRequest is after how many messages a client requests an acknowledgement.
const messagesPerRequest = 5

// acks is a client's part of stream management.
type acks struct {
	enabled  bool          // by the server; owned by the client's loop
	received uint32        // stanzas since then; owned by the client's loop
	sent     atomic.Uint32 // messages
}

// countStanza counts a stanza and responds to requests for acknowledgements. It returns true
// for elements of stream management. Loop.
func (c *Client) countStanza(el parser.Element) bool {
	if !c.clients.cfg.SM {
		return false
	}
	if string(el.Space()) != smNS {
		if c.acks.enabled {
			c.acks.received++
		}
		return false
	}
	switch string(el.Local()) {
	case "enabled":
		c.acks.enabled = true
	case "failed":
		c.fail(errNoSM)
	case "r":
		var buf [64]byte
		b := append(buf[:0], "<a xmlns='"+smNS+"' h='"...)
		b = strconv.AppendUint(b, uint64(c.acks.received), 10)
		c.write(append(b, "'/>"...))
	}
	return true
}

// requestAck appends a request for an acknowledgement to some of the messages. It may be
// called from any goroutine.
func (c *Client) requestAck(b []byte) []byte {
	if c.clients.cfg.SM && c.acks.sent.Add(1)%messagesPerRequest == 0 {
		return append(b, "<r xmlns='"+smNS+"'/>"...)
	}
	return b
}
