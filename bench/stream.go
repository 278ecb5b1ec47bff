package bench

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"roost/parser"
)

// The steps of a login as in RFC 6120 (https://www.rfc-editor.org/rfc/rfc6120), which each
// element of the server leads to.

func (c *Client) features(el parser.Element) {
	if !el.Is(streamsNS, "features") {
		c.fail(fmt.Errorf("expected features, got %s", el.Local()))
		return
	}
	c.csi = el.Child(csiNS, "csi").OK()
	switch {
	case c.clients.cfg.TLS == STARTTLS && !c.conn.Load().Secure():
		c.state = stateTLS
		c.send("<starttls xmlns='" + tlsNS + "'/>")
	case c.clients.cfg.SASL2 && !c.authed:
		c.features2(el)
	case el.Child(saslNS, "mechanisms").OK():
		c.auth()
	case c.phone != nil && el.Child(bindNS, "bind").OK():
		c.resume()
	case el.Child(bindNS, "bind").OK():
		c.state = stateBind
		resource := ""
		if c.account.Resource != "" {
			resource = "<resource>" + c.account.Resource + "</resource>"
		}
		c.send("<iq type='set' id='" + iqBind + "'><bind xmlns='" + bindNS + "'>" + resource + "</bind></iq>")
	case el.Child(tlsNS, "starttls").OK():
		c.fail(errNeedsTLS)
	default:
		c.fail(errors.New("the server offers neither a login nor binding"))
	}
}

func (c *Client) proceed(el parser.Element) {
	if !el.Is(tlsNS, "proceed") {
		c.fail(errors.New("the server refused TLS"))
		return
	}
	c.secure()
}

func (c *Client) auth() {
	initial, ok := c.initialResponse()
	if !ok {
		return
	}
	c.state = stateSASL
	c.send("<auth xmlns='" + saslNS + "' mechanism='" + string(c.clients.cfg.Mechanism) + "'>" + initial + "</auth>")
}

// initialResponse begins authentication. It returns the first message in Base64.
func (c *Client) initialResponse() (text string, ok bool) {
	initial := "\x00" + c.account.User + "\x00" + c.account.Password
	if c.clients.cfg.Mechanism != Plain {
		var err error
		if c.scram, err = c.clients.scramConversation(c.account); err != nil {
			c.fail(err)
			return "", false
		}
		if initial, err = c.scram.Step(""); err != nil {
			c.fail(err)
			return "", false
		}
	}
	return base64.StdEncoding.EncodeToString([]byte(initial)), true
}

func (c *Client) sasl(el parser.Element) {
	switch string(el.Local()) {
	case "challenge":
		text, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(el.AppendText(nil)))
		if err != nil || c.scram == nil {
			c.fail(errors.New("the server sent an invalid challenge"))
			return
		}
		answer, err := c.scram.Step(string(text))
		if err != nil {
			c.fail(err)
			return
		}
		c.send("<response xmlns='" + string(el.Space()) + "'>" + base64.StdEncoding.EncodeToString([]byte(answer)) + "</response>")
	case "success":
		c.scram = nil
		if c.clients.cfg.SASL2 {
			c.success2(el)
			return
		}
		c.parser.Reset()
		c.header()
	default:
		c.fail(fmt.Errorf("the server refused the login: %s", el.First().Local()))
	}
}

func (c *Client) bound(el parser.Element) {
	if string(el.Attr("id")) != iqBind {
		return
	}
	if string(el.Attr("type")) != "result" {
		c.fail(errors.New("the server refused to bind the resource"))
		return
	}
	if c.clients.cfg.SM {
		c.send(enableSM)
	}
	if c.clients.cfg.Carbons {
		c.send("<iq type='set' id='" + iqCarbons + "'>" + enableCarbons + "</iq>")
	}
	c.requestRoster()
}

func (c *Client) requestRoster() {
	c.state = stateRoster
	c.send("<iq type='get' id='" + iqRoster + "'><query xmlns='" + rosterNS + "'/></iq>")
}

// roster handles what arrives before the client is available.
func (c *Client) roster(el parser.Element) {
	switch string(el.Attr("id")) {
	case iqCarbons:
		if string(el.Attr("type")) == "error" {
			c.fail(errNoCarbons)
		}
	case iqRoster:
		c.state = statePresence
		c.send(c.clients.cfg.presence())
	default:
		if el.Is(streamsNS, "features") { // after a login that has bound a resource
			c.csi = el.Child(csiNS, "csi").OK()
		}
	}
}
