// Command roost-bench measures XMPP servers and parsers: it logs clients in, lets
// them do something, and says how fast that was and what it cost the server.
package main

import (
	"os"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
)

// grammar is the whole command line. Flags are given on it only: what was measured is
// in a line of the shell's history.
type grammar struct {
	Idle      idleCmd        `cmd:"" help:"Log clients in that then do nothing, and say what they cost the server."`
	Login     loginCmd       `cmd:"" help:"Log clients in and out again, and say how fast that is and what it costs."`
	Message   messageCmd     `cmd:"" help:"Let pairs of clients talk, and say how fast messages are and what they cost."`
	Presence  presenceCmd    `cmd:"" help:"Let clients see each other change their presence, and say how fast that is and what it costs."`
	Reconnect reconnectCmd   `cmd:"" help:"Drop all clients at once, and say how long it takes until they are back."`
	Parse     parseCmd       `cmd:"" help:"Parse XMPP traffic, and say how fast."`
	Relay     relayCmd       `cmd:"" hidden:"" help:"Move bytes between pairs of connections until it is stopped."`
	Version   cli.VersionCmd `cmd:"" help:"Show the version."`
}

func main() { os.Exit(run(os.Args[1:])) }

// program is this one.
func program() cli.Program {
	return cli.Program{
		Name:        "roost-bench",
		Description: "Measure XMPP servers and parsers. roost-bench help COMMAND tells more of a command.",
		Stderr:      os.Stderr,
	}
}

func run(args []string) int {
	parser, err := newParser(new(grammar))
	if err != nil {
		panic("roost-bench: BUG: " + err.Error())
	}
	return program().Run(parser, args, new(cli.Sources), nil)
}

func newParser(g *grammar) (*kong.Kong, error) { return program().Parser(g) }

// timesHelp is at the end of the help of commands with times.
const timesHelp = "Times (TIME) have units: ms, s, m and h, such as 500ms or 1h30m."
