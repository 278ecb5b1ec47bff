package jid

import "unsafe"

// Kept is a JID in the 16 bytes that a value held a million times can afford. It
// is not comparable in any useful way: take the JID for that. The zero Kept is
// the zero JID.
type Kept struct {
	_ [0]func() // not comparable by ==

	p           *byte
	size        uint16 // at most 3 * MaxPart + 2
	local, bare uint16
}

// Keep is j in its compact form; it shares j's memory.
func (j JID) Keep() Kept {
	return Kept{p: unsafe.StringData(j.s), size: uint16(len(j.s)), local: j.local, bare: j.bare}
}

// JID is what was kept.
func (k *Kept) JID() JID {
	return JID{s: unsafe.String(k.p, k.size), local: k.local, bare: k.bare}
}
