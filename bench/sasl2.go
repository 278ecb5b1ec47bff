package bench

import (
	"bytes"
	"errors"

	"roost/parser"
)

// Login with SASL2 (XEP-0388, https://xmpp.org/extensions/xep-0388.html) and Bind 2
// (XEP-0386, https://xmpp.org/extensions/xep-0386.html): the client authenticates, binds a
// resource and enables what it needs with one request.

const (
	sasl2NS = "urn:xmpp:sasl:2"
	bind2NS = "urn:xmpp:bind:0"
)

// errNoSASL2 means that the server offers only the login of RFC 6120.
var errNoSASL2 = errors.New("the server does not offer SASL2 (XEP-0388): leave out --sasl2")

// features2 authenticates. It binds a resource or resumes the session with the same request,
// if the server offers that.
func (c *Client) features2(el parser.Element) {
	offer := el.Child(sasl2NS, "authentication")
	switch {
	case offer.OK():
	case el.Child(tlsNS, "starttls").OK() && !c.conn.Load().Secure():
		c.fail(errNeedsTLS)
		return
	default:
		c.fail(errNoSASL2)
		return
	}
	mechanism, fast := string(c.clients.cfg.Mechanism), ""
	var initial string
	var ok bool
	if c.clients.cfg.FAST {
		mechanism, initial, fast, ok = c.fastLogin(offer)
	} else {
		initial, ok = c.initialResponse()
	}
	if !ok {
		return
	}
	c.state = stateSASL
	b := "<authenticate xmlns='" + sasl2NS + "' mechanism='" + mechanism + "'><initial-response>" + initial + "</initial-response>" + fast
	switch inline := offer.Child(sasl2NS, "inline"); {
	case c.phone != nil && inline.Child(smNS, "sm").OK():
		b += c.resumeElement()
	case c.phone == nil && inline.Child(bind2NS, "bind").OK():
		b += c.bind2()
	}
	c.send(b + "</authenticate>")
}

// bind2 returns the request to bind a resource and to enable what the client needs.
func (c *Client) bind2() string {
	b := "<bind xmlns='" + bind2NS + "'><tag>" + c.account.Resource + "</tag>"
	if c.clients.cfg.SM {
		b += enableSM
	}
	if c.clients.cfg.Carbons {
		b += enableCarbons
	}
	return b + "</bind>"
}

// success2 continues after the authentication. The stream is not opened again. If no
// resource is bound, features follow that offer it, or resumption.
func (c *Client) success2(el parser.Element) {
	if c.clients.cfg.FAST && !c.fastSuccess(el) {
		return
	}
	c.authed = true
	bound := el.Child(bind2NS, "bound")
	switch failed := el.Child(smNS, "failed"); {
	case el.Child(smNS, "resumed").OK():
		c.resumed()
		return
	case failed.OK():
		c.smFailed(failed)
		return
	case !bound.OK():
		c.state = stateHeader
		return
	}
	full := el.Child(sasl2NS, "authorization-identifier").AppendText(nil)
	if _, resource, ok := bytes.Cut(full, []byte("/")); ok {
		c.account.Resource = string(resource)
	}
	if c.clients.cfg.SM {
		enabled := bound.Child(smNS, "enabled")
		if !enabled.OK() {
			c.fail(errNoSM)
			return
		}
		c.smEnabled(enabled)
	}
	c.requestRoster()
}
