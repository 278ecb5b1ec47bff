package main

// benchCmd measures.
type benchCmd struct {
	Parse     benchParseCmd     `cmd:"" help:"Parse XMPP traffic, and say how fast."`
	Idle      benchIdleCmd      `cmd:"" help:"Log clients in that then do nothing, and say what they cost the server."`
	Message   benchMessageCmd   `cmd:"" help:"Let pairs of clients talk, and say how fast messages are and what they cost."`
	Login     benchLoginCmd     `cmd:"" help:"Log clients in and out again, and say how fast that is and what it costs."`
	Presence  benchPresenceCmd  `cmd:"" help:"Let clients see each other change their presence, and say how fast that is and what it costs."`
	Reconnect benchReconnectCmd `cmd:"" help:"Drop all clients at once, and say how long it takes until they are back."`
	Relay     benchRelayCmd     `cmd:"" hidden:"" help:"Move bytes between pairs of connections until it is told to stop."`
}
