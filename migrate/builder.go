package migrate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// The kinds of blobs that move, in addition to store.BlockedKind: those of vCards (XEP-0054)
// and of private storage (XEP-0049), as package xep stores them. Tokens of clients do not
// move: they depend on the server's secret.
const (
	VCardKind   = "vcard-temp"
	PrivateKind = "jabber:iq:private"
)

// maxKey is the length of the longest key of a value in private storage, as in package xep.
const maxKey = 1023

// Builder collects the data of one account after another. It must not be used by two
// goroutines at once. Each method reports what it does not accept, and leaves it out.
type Builder struct {
	*Account // the present one
	report   func(Problem)
	scratch  *parser.Scratch
	size     int             // see Account.Size
	full     bool            // something was left out because of MaxAccount
	has      map[string]bool // the kinds and addresses or keys of what was added
}

// NewBuilder returns a Builder that reports problems to a function.
func NewBuilder(report func(Problem)) *Builder {
	return &Builder{report: report, scratch: parser.NewScratch(parser.Limits{MaxStanza: MaxElement}), has: make(map[string]bool)}
}

// MaxElement is the size of the largest element, in bytes: a stanza, a vCard or a value in
// private storage.
const MaxElement = 4 << 20

// Begin begins an account, at a place in the source. It reports false if this is not the
// address of an account.
func (b *Builder) Begin(at, local, domain string) bool {
	b.Account, b.size, b.full = &Account{At: at}, 0, false
	clear(b.has)
	j, err := jid.New(local, domain, "")
	if err == nil && !j.IsAccount() {
		err = errors.New("it has no name before the @")
	}
	if err != nil {
		b.report(Problem{At: at, Text: fmt.Sprintf("not the address of an account: %q (%v)", clip(local+"@"+domain), err), Whole: true})
		return false
	}
	b.JID = j.Clone()
	return true
}

// BeginAddress is Begin with an address.
func (b *Builder) BeginAddress(at, address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		local, domain = "", address
	}
	return b.Begin(at, local, domain)
}

// clip returns the beginning of a text for a message.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Skip reports something that is not imported.
func (b *Builder) Skip(at, format string, args ...any) {
	b.report(Problem{At: at, Account: b.JID.String(), Text: fmt.Sprintf(format, args...)})
}

// Refuse reports that the account is not imported.
func (b *Builder) Refuse(at, format string, args ...any) {
	b.report(Problem{At: at, Account: b.JID.String(), Text: fmt.Sprintf(format, args...), Whole: true})
}

// fits reports whether there is space for n more bytes, and counts them.
func (b *Builder) fits(at string, n int) bool {
	if b.size+n+itemSize > MaxAccount {
		if !b.full {
			b.full = true
			b.Skip(at, "the account has more than %d MiB: what follows is left out", MaxAccount>>20)
		}
		return false
	}
	b.size += n + itemSize
	return true
}

// again reports whether something was added before, which only its first occurrence is.
func (b *Builder) again(at, what, key string) bool {
	name := strings.TrimSuffix(what+" "+key, " ")
	if b.has[name] {
		b.Skip(at, "%s is there twice", clip(name))
		return true
	}
	b.has[name] = true
	return false
}

// Keys adds the keys for a SASL mechanism.
func (b *Builder) Keys(at, mechanism string, k store.Keys) {
	for h := range store.NumHashes {
		if h.Mechanism() != mechanism {
			continue
		}
		if b.again(at, "the key for", mechanism) {
			return
		}
		c := store.Credentials{}
		c[h] = k
		if err := c.Check(); err != nil {
			b.Skip(at, "keys: %v", err)
			return
		}
		b.Credentials[h] = k
		return
	}
	b.Skip(at, "keys for %q are not supported", clip(mechanism))
}

// EncodedKeys is Keys for keys that are encoded in base64.
func (b *Builder) EncodedKeys(at, mechanism string, iterations int, salt, stored, server string) {
	k := store.Keys{Iterations: iterations}
	for _, f := range []struct {
		name, text string
		to         *[]byte
	}{{"salt", salt, &k.Salt}, {"stored key", stored, &k.StoredKey}, {"server key", server, &k.ServerKey}} {
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(f.text))
		if err != nil {
			b.Skip(at, "keys for %s: the %s is not base64", clip(mechanism), f.name)
			return
		}
		*f.to = value
	}
	b.Keys(at, mechanism, k)
}

// Secret checks at the end of an account that it has keys or a password, and reports
// whether it has. A password counts only without keys.
func (b *Builder) Secret(at string) bool {
	switch {
	case b.Credentials.Hashes() != 0:
		b.Password = ""
	case b.Password == "":
		b.Refuse(at, "it has neither keys nor a password")
		return false
	case len(b.Password) > store.MaxPassword:
		b.Refuse(at, "its password is longer than %d bytes", store.MaxPassword)
		return false
	}
	return true
}

// Contact adds a roster item.
func (b *Builder) Contact(at, address string, item store.RosterItem) {
	j, err := jid.Parse(address)
	switch {
	case err != nil:
		b.Skip(at, "contact %q: not an address", clip(address))
		return
	case store.CheckKey(j.String()) != nil:
		b.Skip(at, "contact %q: %v", clip(address), store.ErrLongKey)
		return
	case b.again(at, "contact", j.String()):
		return
	}
	item.JID = j.Clone()
	if !isText(item.Name) {
		b.Skip(at, "contact %v: its name has characters that XML does not allow", j)
		item.Name = ""
	}
	var groups []string
	for _, g := range item.Groups {
		if !isText(g) {
			b.Skip(at, "contact %v: a group has characters that XML does not allow", j)
		} else if g != "" && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	item.Groups = groups
	if b.fits(at, len(address)+len(item.Name)+len(strings.Join(groups, " "))) {
		b.Roster = append(b.Roster, item)
	}
}

// isText reports whether a text may occur in XML.
func isText(s string) bool {
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			return false
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
			return false
		}
	}
	return true
}

// SubscriptionOf returns the state that is called "none", "to", "from" or "both"; "" is
// "none".
func SubscriptionOf(text string) (store.Subscription, bool) {
	for _, s := range []store.Subscription{store.None, store.To, store.From, store.Both} {
		if s.String() == text || text == "" {
			return s, true
		}
	}
	return 0, false
}

// Block adds an address that the account has blocked.
func (b *Builder) Block(at, address string) {
	j, err := jid.Parse(address)
	if err != nil {
		b.Skip(at, "blocked %q: not an address", clip(address))
		return
	}
	if err := store.CheckKey(j.String()); err != nil {
		b.Skip(at, "blocked %q: %v", clip(address), err)
		return
	}
	b.blob(at, "blocked address", store.BlockedKind, j.Clone().String(), nil)
}

// blob adds a value.
func (b *Builder) blob(at, what, kind, key string, value []byte) {
	if !b.again(at, what, key) && b.fits(at, len(key)+len(value)) {
		b.Blobs = append(b.Blobs, store.Blob{Kind: kind, Key: key, Value: value})
	}
}

// Online sets when the account was last online.
func (b *Builder) Online(at string, when time.Time, status string) {
	if !isText(status) {
		b.Skip(at, "the status has characters that XML does not allow")
		status = ""
	}
	b.Last = &store.LastActivity{At: when.UTC().Truncate(time.Second), Status: []byte(status)}
	b.usedAt(b.Last.At)
}

// XML is an element as text, and the namespaces that are declared outside it, as attributes
// of a start tag. Without a declaration, the default namespace is jabber:client.
type XML struct {
	Scope string
	Text  []byte
}

// Parse parses an element, within the limit MaxElement. The result is valid until the next
// call of a method.
func (b *Builder) Parse(x XML) (*parser.Tape, error) {
	var p parser.Parser
	defer p.Free(b.scratch)
	scope := x.Scope
	if !strings.Contains(scope, " xmlns=") {
		scope += " xmlns='" + stanza.NSClient + "'"
	}
	header := []byte("<stream" + scope + ">")
	if ev, n, err := p.Next(b.scratch, header); ev != parser.StreamOpen || n != len(header) || err != nil {
		return nil, fmt.Errorf("namespaces: %w", explain(err))
	}
	ev, n, err := p.Next(b.scratch, x.Text)
	switch {
	case err != nil:
		return nil, explain(err)
	case ev != parser.Stanza:
		return nil, errors.New("it is not a complete element")
	case strings.TrimSpace(string(x.Text[n:])) != "":
		return nil, errors.New("there is text after its end")
	}
	return b.scratch.Tape(), nil
}

// explain returns an error of the parser in the words of a person.
func explain(err error) error {
	var e *parser.Error
	if errors.As(err, &e) {
		return fmt.Errorf("not valid XML: %s", e.Text)
	}
	return errors.New("not valid XML")
}
