// Package interop tests a real server with real clients: slixmpp, aioxmpp, libstrophe, gloox
// and go-sendxmpp, as Debian packages them, and xmpp.js and Strophe.js from npm. The tests
// need the packages that scripts/deps.sh installs, and the build tag "interop"; `make interop`
// installs them and sets the tag. README.md lists what each client covers.
package interop
