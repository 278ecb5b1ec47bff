package jid

import "unsafe"

// Compact is a JID in the 16 bytes that a value held a million times can afford. It
// is not comparable in any useful way: take the JID for that. The zero Compact is
// the zero JID.
type Compact struct {
	_ [0]func() // not comparable by ==

	p           *byte
	size        uint16 // at most 3 * MaxPart + 2
	local, bare uint16
}

// Compact returns j in its compact form; it shares j's memory.
func (j JID) Compact() Compact {
	return Compact{p: unsafe.StringData(j.s), size: uint16(len(j.s)), local: j.local, bare: j.bare}
}

// JID returns the JID.
func (k *Compact) JID() JID {
	return JID{s: unsafe.String(k.p, k.size), local: k.local, bare: k.bare}
}
