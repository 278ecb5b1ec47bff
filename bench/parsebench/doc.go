// Package parsebench measures how fast XMPP traffic is parsed by this project's parser,
// with and without its vector kernel, by encoding/xml, and by expat if it is installed.
// It also generates the traffic, which is deterministic, does not repeat, and resembles
// real traffic.
//
// It times what a server does with the bytes of a connection: they arrive in pieces and
// are checked completely, and each first-level element is inspected. Times are CPU time,
// because machines are shared. The implementations take turns, because the speed of
// machines varies.
package parsebench
