package bench

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"roost/parser"
)

// Stream management (XEP-0198), carbons (XEP-0280) and client state (XEP-0352), as most
// clients of today use them.

const (
	smNS      = "urn:xmpp:sm:3"
	carbonsNS = "urn:xmpp:carbons:2"
	csiNS     = "urn:xmpp:csi:0"
	iqCarbons = "carbons"

	requestSM     = "<r xmlns='" + smNS + "'/>"
	enableSM      = "<enable xmlns='" + smNS + "' resume='true'/>"
	enableCarbons = "<enable xmlns='" + carbonsNS + "'/>"
	inactive      = "<inactive xmlns='" + csiNS + "'/>"
)

// Errors for a server without what the clients shall enable.
var (
	errNoSM      = errors.New("the server refused to enable stream management (XEP-0198): leave out --sm")
	errNoCarbons = errors.New("the server refused to enable carbons (XEP-0280): leave out --carbons")
	errNoCSI     = errors.New("the server does not offer client state indication (XEP-0352): leave out --csi")
)

// messagesPerRequest is after how many messages a client requests an acknowledgement.
const messagesPerRequest = 5

// acks is a client's part of stream management.
type acks struct {
	enabled  bool          // by the server; owned by the client's loop
	id       string        // for a resumption, "" if the server allows none; owned by the client's loop
	received uint32        // stanzas since it was enabled; owned by the client's loop
	sent     atomic.Uint32 // messages
}

// countStanza counts a stanza and responds to requests for acknowledgements. It returns true
// for elements of stream management. Loop.
func (c *Client) countStanza(el parser.Element) bool {
	if !c.clients.cfg.SM {
		return false
	}
	if string(el.Space()) != smNS {
		if c.acks.enabled && string(el.Space()) == clientNS {
			c.acks.received++
		}
		return false
	}
	switch string(el.Local()) {
	case "enabled":
		c.smEnabled(el)
	case "resumed":
		if c.state == stateResume {
			c.resumed()
		}
	case "failed":
		c.smFailed(el)
	case "r":
		var buf [64]byte
		b := append(buf[:0], "<a xmlns='"+smNS+"' h='"...)
		b = strconv.AppendUint(b, uint64(c.acks.received), 10)
		c.write(append(b, "'/>"...))
	}
	return true
}

// smEnabled handles <enabled/>.
func (c *Client) smEnabled(el parser.Element) {
	c.acks.enabled = true
	if r := string(el.Attr("resume")); r == "true" || r == "1" {
		c.acks.id = string(el.Attr("id"))
	}
}

// smFailed handles <failed/>.
func (c *Client) smFailed(el parser.Element) {
	if c.phone != nil {
		c.fail(fmt.Errorf("the server did not resume the session: %s", el.First().Local()))
		return
	}
	c.fail(errNoSM)
}

// requestAck appends a request for an acknowledgement to some of the messages. It may be
// called from any goroutine.
func (c *Client) requestAck(b []byte) []byte {
	if c.clients.cfg.SM && c.acks.sent.Add(1)%messagesPerRequest == 0 {
		return append(b, requestSM...)
	}
	return b
}
