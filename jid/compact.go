package jid

import "unsafe"

// Compact is a JID in 16 bytes, for values that are held a million times. It cannot be
// compared: compare the JIDs. The zero Compact is the zero JID.
type Compact struct {
	_ [0]func() // not comparable by ==

	p           *byte
	size        uint16 // at most 3 * MaxPart + 2
	local, bare uint16

	Extra uint16 // for the owner; not part of the JID. It takes what would be padding
}

// Compact returns j in its compact form; it shares j's memory.
func (j JID) Compact() Compact {
	return Compact{p: unsafe.StringData(j.s), size: uint16(len(j.s)), local: j.local, bare: j.bare}
}

// JID returns the JID.
func (k *Compact) JID() JID {
	return JID{s: unsafe.String(k.p, k.size), local: k.local, bare: k.bare}
}
