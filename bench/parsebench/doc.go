// Package parsebench measures how fast XMPP traffic is parsed: by the parser of
// this project with its vector kernel and without, by encoding/xml, and by expat
// where it is installed. It makes the traffic, too: deterministic, never
// repeating, and like what servers see.
//
// What is timed is what a server does with the bytes of a connection: they come
// in pieces, are checked in full, and each first-level element is looked at.
// Times are CPU time, because machines are shared; all implementations are timed
// in turns, because machines change their speed.
package parsebench
