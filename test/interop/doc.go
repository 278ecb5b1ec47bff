// Package interop holds the tests that put real clients in front of a real
// server: slixmpp, aioxmpp, libstrophe, gloox and go-sendxmpp, as Debian
// packages them. They need those packages (see packages.txt) and are built
// with the tag "interop" only; `make interop` installs the one and sets the
// other. README.md says what is covered by which client.
package interop
