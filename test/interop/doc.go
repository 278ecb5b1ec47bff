// Package interop tests a real server with real clients: slixmpp, aioxmpp, libstrophe, gloox
// and go-sendxmpp, as Debian packages them. The tests need those packages (see packages.txt)
// and the build tag "interop"; `make interop` installs the packages and sets the tag.
// README.md lists what each client covers.
package interop
