package redact

import (
	"bytes"

	"roost/parser"
)

// shown are the attributes whose values are shown always: addresses, and what a protocol
// defines. Others, such as the name of a contact, may be what a user has written.
var shown = setOf("to", "from", "id", "type", "xml:lang", "jid", "by", "node", "var", "ver", "hash", "code", "category",
	"subscription", "ask", "approved", "affiliation", "role", "action", "stamp", "seconds", "h", "max", "maxchars", "maxstanzas", "version")

// secretSpaces are namespaces of credentials: all text and all attributes of their
// elements, and of elements within these, are secret. A name that ends in ':' or '#' is the
// beginning of several.
var secretSpaces = []string{
	"urn:ietf:params:xml:ns:xmpp-sasl",
	"urn:xmpp:sasl:",                       // XEP-0388
	"jabber:iq:auth",                       // XEP-0078
	"jabber:iq:register",                   // XEP-0077; with its form
	"urn:xmpp:fast:",                       // XEP-0484: tokens
	"urn:xmpp:isr:",                        // XEP-0397: tokens
	"urn:xmpp:oauth:",                      // XEP-0235
	"http://jabber.org/protocol/http-auth", // XEP-0070: the identifier that confirms a login elsewhere
	"urn:xmpp:pars:",                       // XEP-0379: tokens of invitations
	"urn:xmpp:invite#",                     // XEP-0401: commands that return an invitation with a token
	"urn:xmpp:ibr-token:",                  // XEP-0445
	"urn:xmpp:push:",                       // XEP-0357: what a push service accepts
	"urn:xmpp:extdisco:",                   // XEP-0215: passwords of TURN servers
	"urn:xmpp:http:upload:",                // XEP-0363: who has the URL may upload or read
	"urn:xmpp:esfs:",                       // XEP-0448: keys of files
}

// secretElements are elements of credentials whatever their namespace is: a client that has
// got the namespace wrong has sent the password all the same.
var secretElements = setOf("auth", "authenticate", "initial-response", "response", "challenge",
	"enabled", "resume", "resumed") // XEP-0198: what resumes a session

// secretWords are parts of names of attributes, elements and fields of forms whose values
// are secret.
var secretWords = []string{"password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "credential", "authorization", "cookie", "apikey", "api-key", "api_key",
	"key-params"} // XEP-0167: keys of media streams

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool)
	for _, name := range names {
		set[name] = true
	}
	return set
}

// isSecret reports whether all text and attributes in an element are secret.
func isSecret(e parser.Element) bool {
	if isSecretName(e.Local()) || secretElements[string(e.Local())] {
		return true
	}
	if isSecretSpace(e.Space()) || isSecretSpace(e.Attr("node")) {
		return true
	}
	// A field of a form (XEP-0004), a command (XEP-0050), or a parameter that has its name
	// in an attribute.
	return string(e.Attr("type")) == "text-private" || isSecretName(e.Attr("var")) || isSecretName(e.Attr("node")) ||
		isSecretName(e.Attr("name")) || isSecretName(e.Attr("key"))
}

// isSecretSpace reports whether a namespace is one of secretSpaces. It may be long, and that
// of many elements: it is not copied.
func isSecretSpace(space []byte) bool {
	for _, secret := range secretSpaces {
		if len(space) < len(secret) || string(space[:len(secret)]) != secret {
			continue
		}
		if last := secret[len(secret)-1]; len(space) == len(secret) || last == ':' || last == '#' {
			return true
		}
	}
	return false
}

// isSecretName reports whether what has this name is secret.
func isSecretName(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	name = bytes.ToLower(name)
	for _, word := range secretWords {
		if bytes.Contains(name, []byte(word)) {
			return true
		}
	}
	return false
}
