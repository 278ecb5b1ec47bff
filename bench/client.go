// Package bench is a load generator for any XMPP server: many clients in one process, on
// roost's own poller and parser, so that a client costs about as little as a session in
// the server.
package bench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xdg-go/scram"

	"roost/parser"
	"roost/poller"
)

// Mechanism is how a client authenticates.
type Mechanism string

// The mechanisms that a client can use.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA1   Mechanism = "SCRAM-SHA-1"
	ScramSHA2   Mechanism = "SCRAM-SHA-256"
	clientNS              = "jabber:client"
	streamsNS             = "http://etherx.jabber.org/streams"
	tlsNS                 = "urn:ietf:params:xml:ns:xmpp-tls"
	saslNS                = "urn:ietf:params:xml:ns:xmpp-sasl"
	bindNS                = "urn:ietf:params:xml:ns:xmpp-bind"
	rosterNS              = "jabber:iq:roster"
	iqBind                = "bind"
	iqRoster              = "roster"
	pingPayload           = " "
)

// state is the stage of a client's login.
type state uint8

const (
	stateHeader   state = iota // waits for features
	stateTLS                   // waits for <proceed/>
	stateSASL                  // a SASL exchange is in progress
	stateBind                  // waits for the bind result
	stateRoster                // waits for the roster
	statePresence              // waits for its own presence
	stateResume                // waits for the result of a resumption
	stateReady
	stateFailed
)

// Account is the account of a client.
type Account struct {
	User, Domain, Password, Resource string
}

// JID returns the account's bare JID.
func (a Account) JID() string { return a.User + "@" + a.Domain }

// Client is one client. Its methods are called by its loop's goroutine, unless they say
// otherwise.
type Client struct {
	clients *Clients
	conn    atomic.Pointer[poller.Conn] // nil until it is connected
	account Account
	number  int // of the account
	parser  parser.Parser
	state   state
	scram   *scram.ClientConversation
	started time.Time // start of the login, when connecting begins
	leaving bool      // it has closed its stream itself
	csi     bool      // the server offers client state indication
	authed  bool      // by SASL2, so that the stream was not opened again
	acks    acks

	binding   []byte // ties a login with a token to the TLS channel, nil if there is none
	requested string // the mechanism of the token that the server may send

	web   web    // of a client over WebSocket
	phone *phone // nil unless it is a connection of one
	cut   bool   // phone.reconnect follows
}

var errNeedsTLS = errors.New("the server requires TLS before a login: use STARTTLS (--tls starttls)")

// ErrLogin is wrapped by the errors of failed logins.
var ErrLogin = errors.New("login failed")

// start begins the login. Loop.
func (c *Client) start() {
	if c.state == stateFailed {
		return // the connection was lost before start was called
	}
	c.conn.Load().SetDeadline(loginTimeout)
	switch {
	case c.clients.cfg.Raw:
		c.header()
		c.ready()
	case c.clients.cfg.TLS == DirectTLS:
		c.secure()
	default:
		c.begin()
	}
}

// begin opens the stream, after the handshake of WebSocket if that is used.
func (c *Client) begin() {
	if c.clients.cfg.WebSocket {
		c.upgrade()
		return
	}
	c.header()
}

// ready ends the login.
func (c *Client) ready() {
	if c.clients.cfg.CSI {
		if !c.csi {
			c.fail(errNoCSI)
			return
		}
		c.send(inactive)
	}
	c.state = stateReady
	c.conn.Load().SetDeadline(0)
	if f := c.clients.onReady; f != nil {
		f(time.Since(c.started))
	}
	leave := c.clients.leave
	c.clients.loginDone(nil) // may wake Login, which then uses the clients
	if leave {
		c.leave()
	}
}

// loginTimeout limits the time of one login.
const loginTimeout = 2 * time.Minute

func (c *Client) secure() {
	if err := c.conn.Load().StartClientTLS(c.clients.tls); err != nil {
		c.fail(err)
	}
}

// header opens a stream. It has no xml:lang, because some servers would add it to each
// stanza and others would not.
func (c *Client) header() {
	c.state = stateHeader
	from := ""
	if c.clients.cfg.FAST && c.conn.Load().Secure() {
		// XEP-0484 section 5.1 (https://xmpp.org/extensions/xep-0484.html#rules-clients):
		// clients "MUST provide the authenticating JID in the secure stream's 'from'
		// attribute".
		from = " from='" + c.account.JID() + "'"
	}
	if c.clients.cfg.WebSocket {
		c.send("<open xmlns='" + framingNS + "' to='" + c.account.Domain + "'" + from + " version='1.0'/>")
		return
	}
	c.send("<?xml version='1.0'?><stream:stream to='" + c.account.Domain + "'" + from + " version='1.0' xmlns='" +
		clientNS + "' xmlns:stream='" + streamsNS + "'>")
}

func (c *Client) send(s string) { c.write([]byte(s)) }

// write sends what is an element on a TCP stream. It may be called from any goroutine.
func (c *Client) write(p []byte) {
	if c.clients.cfg.WebSocket {
		var buf [1024]byte
		p = appendMessages(buf[:0], p)
	}
	c.raw(p)
}

func (c *Client) raw(p []byte) {
	if conn := c.conn.Load(); conn != nil && conn.Queue(p) == nil {
		conn.Flush()
	}
}

// Data handles bytes from the server.
func (c *Client) Data(loop int, p []byte) int {
	if c.clients.cfg.WebSocket {
		c.webData(loop, p)
	} else {
		c.parse(loop, p)
	}
	return len(p)
}

// parse handles bytes of the stream.
func (c *Client) parse(loop int, p []byte) {
	scratch := c.clients.scratch[loop]
	n := 0
	for n < len(p) && c.state != stateFailed {
		ev, used, err := c.parser.Next(scratch, p[n:])
		n += used
		switch {
		case err != nil:
			c.fail(err)
		case ev == parser.Stanza:
			c.element(loop, scratch.Tape().Root())
		case ev == parser.StreamClose:
			c.streamClosed()
		}
	}
}

// streamClosed is called when the server closes the stream.
func (c *Client) streamClosed() {
	if !c.leaving {
		c.fail(errors.New("the server closed the stream"))
		return
	}
	c.state = stateFailed
	c.drop()
}

// Secured opens the stream over TLS.
func (c *Client) Secured(loop int, state *tls.ConnectionState, _ *x509.Certificate) {
	if c.clients.cfg.FAST {
		c.binding = exporter(state)
	}
	c.parser.Free(c.clients.scratch[loop])
	c.parser.Reset()
	c.begin()
}

// KeepAlive returns false: the load generator's loops do not batch keep-alives.
func (c *Client) KeepAlive([]byte) bool { return false }

// Drained does nothing: a client does not wait for its outbox.
func (c *Client) Drained(int) {}

// Expired does nothing: the connection is closed at once.
func (c *Client) Expired(int, error) {}

// Closed is called after the connection has been closed.
func (c *Client) Closed(loop int, err error) {
	c.parser.Free(c.clients.scratch[loop])
	if c.cut {
		c.clients.clientLeft()
		c.phone.reconnect()
		c.clients.open.Done()
		return
	}
	switch {
	case err != nil:
		c.fail(err)
	case c.state == stateReady:
		c.state = stateFailed // closed by this side
		c.clients.clientLeft()
	}
	c.clients.releaseAccount(c)
	c.clients.open.Done()
}

func (c *Client) fail(err error) {
	if c.state == stateFailed {
		return
	}
	before := c.state
	c.state = stateFailed
	if before == stateReady {
		c.clients.clientLost(fmt.Errorf("%s was disconnected: %w", c.account.JID(), err))
	}
	switch {
	case c.phone != nil:
		c.phone.run.ended(c.phone, err)
	case before != stateReady:
		c.clients.loginDone(fmt.Errorf("%w: %s: %w", ErrLogin, c.account.JID(), err))
	}
	c.drop()
}

// element performs the next step of the login.
func (c *Client) element(loop int, el parser.Element) {
	if el.Is(streamsNS, "error") {
		c.fail(fmt.Errorf("stream error: %s", el.First().Local()))
		return
	}
	if c.framing(el) || c.countStanza(el) {
		return
	}
	switch c.state {
	case stateHeader:
		c.features(el)
	case stateTLS:
		c.proceed(el)
	case stateSASL:
		c.sasl(el)
	case stateBind:
		c.bound(el)
	case stateRoster:
		c.roster(el)
	case statePresence:
		c.ready()
	case stateReady:
		c.clients.received(loop, c, el)
	}
}

// Ping sends a white-space keep-alive, or a ping over WebSocket, where white space is not
// allowed.
func (c *Client) Ping() {
	if c.clients.cfg.WebSocket {
		c.raw(appendFrame(nil, opPing))
		return
	}
	c.send(pingPayload)
}

// FullJID returns the client's full JID.
func (c *Client) FullJID() string { return c.account.JID() + "/" + c.account.Resource }

// Message sends a chat message that contains the time at which it was sent. It may be
// called from any goroutine.
func (c *Client) Message(to string) {
	from := ""
	if c.clients.cfg.From {
		from = c.FullJID()
	}
	var buf [512]byte
	b := appendMessage(buf[:0], c.clients.nextID(), from, to)
	c.write(c.requestAck(b))
}

// leave closes the stream (RFC 6120 section 4.4,
// https://www.rfc-editor.org/rfc/rfc6120#section-4.4). Loop.
func (c *Client) leave() {
	c.leaving = true
	c.clients.clientLeft()
	if c.clients.cfg.WebSocket {
		c.send("<close xmlns='" + framingNS + "'/>")
		return
	}
	c.send("</stream:stream>")
}

// drop closes the connection without closing the stream.
func (c *Client) drop() {
	if conn := c.conn.Load(); conn != nil {
		conn.Close(0)
	}
}
