// Command roost-bench measures XMPP servers and parsers. It logs clients in, generates a
// load, and reports the speed and what the load costs the server.
package main

import (
	"os"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
)

// grammar is the whole command line. Flags can only be set there, so that the shell's
// history shows what was measured.
type grammar struct {
	Idle      idleCmd        `cmd:"" help:"Log in clients that stay idle, and report what they cost the server."`
	Login     loginCmd       `cmd:"" help:"Log clients in and out, and report the speed and the cost."`
	Message   messageCmd     `cmd:"" help:"Exchange messages between pairs of clients, and report latencies and the cost."`
	Presence  presenceCmd    `cmd:"" help:"Change the presence of clients that see each other, and report latencies and the cost."`
	Reconnect reconnectCmd   `cmd:"" help:"Disconnect all clients at once, and measure how long they take to log in again."`
	Resume    resumeCmd      `cmd:"" help:"Let clients lose their connections and resume their sessions, and check that no message is lost or arrives twice."`
	Parse     parseCmd       `cmd:"" help:"Measure the speed of XMPP parsers."`
	Relay     relayCmd       `cmd:"" hidden:"" help:"Move bytes between pairs of connections until it is stopped."`
	Version   cli.VersionCmd `cmd:"" help:"Show the version."`
}

func main() { os.Exit(run(os.Args[1:])) }

// program describes this program.
func program() cli.Program {
	return cli.Program{
		Name:        "roost-bench",
		Description: "Measure XMPP servers and parsers. roost-bench help COMMAND shows details. Start a server with roost serve --allow-plaintext, then run roost-bench idle --sessions 1000 --create DIR, where DIR is its data directory.",
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

// timesHelp ends the help of commands that have flags with times.
const timesHelp = "Times (TIME) have units: ms, s, m and h, such as 500ms or 1h30m."
