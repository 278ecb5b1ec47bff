// Package jid implements the address format of XMPP (RFC 7622,
// https://www.rfc-editor.org/rfc/rfc7622): localpart@domainpart/resourcepart.
//
// A JID is always normalized, so two addresses are the same exactly if their JIDs are
// equal by ==. Addresses that are already normalized and pure ASCII, which nearly all
// are, are checked in one pass over a table and cost no allocation.
package jid

import (
	"errors"
	"strings"
	"unsafe"
)

// MaxPart is the largest size of each part in bytes (RFC 7622 sections 3.2 to
// 3.4). The smallest is 1.
//
// The RFC counts bytes after normalization. This package also refuses a part that is
// longer before it: normalization takes about 80 ns per byte, and only parts made of
// full-width letters and the like get shorter by it.
const MaxPart = 1023

// Errors of addresses. They are predeclared, so that refusing an address allocates
// nothing and logs contain nothing that a peer sent.
var (
	ErrLocalpart    = errors.New("jid: the localpart is empty, too long, or has a character that is not allowed")
	ErrDomainpart   = errors.New("jid: the domainpart is empty, too long, or not a domain name or IP address")
	ErrResourcepart = errors.New("jid: the resourcepart is empty, too long, or has a character that is not allowed")
)

// JID is a normalized address: a domain, an account (bare JID) or one of its resources
// (full JID). The zero JID is not an address. JIDs are comparable.
type JID struct {
	s     string
	local uint16 // length of the localpart; 0: there is none, and no '@'
	bare  uint16 // length of the bare JID
}

// Parse parses and normalizes an address. Its strings share memory with s if s is already
// normalized. The error is one of those declared in this package.
func Parse(s string) (JID, error) {
	if j, ok := parseFast(s); ok {
		return j, nil
	}
	return parseSlow(s)
}

// ParseBytes is Parse for borrowed bytes. If b is already normalized, nothing is
// allocated and the JID is a view of b: it is valid only as long as b is not changed.
// Clone makes an independent copy.
func ParseBytes(b []byte) (JID, error) {
	if j, ok := parseFast(unsafe.String(unsafe.SliceData(b), len(b))); ok {
		return j, nil
	}
	return parseSlow(string(b))
}

// MustParse is Parse for addresses known to be good; it panics otherwise.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic("jid: MustParse(" + s + "): " + err.Error())
	}
	return j
}

// New returns an address made of the given parts, which it normalizes. An empty local or
// resource means that the part is absent.
func New(local, domain, resource string) (JID, error) {
	// Check all sizes first, so that a part that is too long does not cost the
	// normalization of the others.
	switch {
	case len(local) > MaxPart:
		return JID{}, ErrLocalpart
	case len(strings.TrimSuffix(domain, ".")) > MaxPart: // see domainSlow
		return JID{}, ErrDomainpart
	case len(resource) > MaxPart:
		return JID{}, ErrResourcepart
	}
	var err error
	if local != "" {
		if local, err = NormalizeLocal(local); err != nil {
			return JID{}, err
		}
	}
	if domain, err = NormalizeDomain(domain); err != nil {
		return JID{}, err
	}
	if resource != "" {
		if resource, err = NormalizeResource(resource); err != nil {
			return JID{}, err
		}
	}
	return join(local, domain, resource), nil
}

// join joins normalized parts.
func join(local, domain, resource string) JID {
	j := JID{local: uint16(len(local)), bare: uint16(len(domain))}
	switch {
	case local == "" && resource == "":
		j.s = domain
	case local == "":
		j.s = domain + "/" + resource
	case resource == "":
		j.s = local + "@" + domain
	default:
		j.s = local + "@" + domain + "/" + resource
	}
	if local != "" {
		j.bare += j.local + 1
	}
	return j
}

// Local returns the localpart, "" if there is none.
func (j JID) Local() string { return j.s[:j.local] }

// Domain returns the domainpart, "" only for the zero JID.
func (j JID) Domain() string {
	if j.local == 0 {
		return j.s[:j.bare]
	}
	return j.s[j.local+1 : j.bare]
}

// Resource returns the resourcepart, "" if there is none.
func (j JID) Resource() string {
	if int(j.bare) == len(j.s) {
		return ""
	}
	return j.s[j.bare+1:]
}

// Bare returns the address without its resourcepart.
func (j JID) Bare() JID { return JID{s: j.s[:j.bare], local: j.local, bare: j.bare} }

// WithResource returns the bare JID with this resourcepart, which it normalizes; for ""
// it returns the bare JID.
func (j JID) WithResource(resource string) (JID, error) {
	if resource == "" {
		return j.Bare(), nil
	}
	resource, err := NormalizeResource(resource)
	if err != nil {
		return JID{}, err
	}
	return JID{s: j.BareString() + "/" + resource, local: j.local, bare: j.bare}, nil
}

// IsZero reports whether j is the zero JID, which is not an address.
func (j JID) IsZero() bool { return j.s == "" }

// IsBare reports whether j is an address without a resourcepart.
func (j JID) IsBare() bool { return j.s != "" && int(j.bare) == len(j.s) }

// IsFull reports whether j is an address with a resourcepart.
func (j JID) IsFull() bool { return int(j.bare) < len(j.s) }

// IsAccount reports whether j has the form of an account's address: a
// localpart, and no resourcepart.
func (j JID) IsAccount() bool { return j.local != 0 && j.IsBare() }

// String returns the whole address, without an allocation.
func (j JID) String() string { return j.s }

// BareString returns the bare JID as a string, a prefix of String.
func (j JID) BareString() string { return j.s[:j.bare] }

// Clone returns a copy of j with its own memory, to keep a result of ParseBytes, or a
// bare JID without the memory of the full JID that it was taken from.
func (j JID) Clone() JID {
	j.s = strings.Clone(j.s)
	return j
}
