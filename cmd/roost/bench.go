package main

// benchCmd measures.
type benchCmd struct {
	Parse benchParseCmd `cmd:"" help:"Parse XMPP traffic, and say how fast."`
}
