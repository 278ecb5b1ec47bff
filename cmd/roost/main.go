// Command roost is an XMPP server for very large numbers of mostly idle clients.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
)

// grammar is the whole command line.
type grammar struct {
	Serve   serveCmd       `cmd:"" help:"Run the server."`
	Check   checkCmd       `cmd:"" help:"Check whether this machine can hold a given number of sessions, and show how to raise what is too low."`
	Status  statusCmd      `cmd:"" help:"Show the state of the running server."`
	Health  healthCmd      `cmd:"" help:"Check whether the running server works, for programs that watch it."`
	Online  onlineCmd      `cmd:"" help:"List the sessions of the running server."`
	Session sessionCmd     `cmd:"" help:"Show or end one session of the running server."`
	Trace   traceCmd       `cmd:"" help:"Follow what one session sends and receives, with text hidden unless requested."`
	Top     topCmd         `cmd:"" help:"Show what the running server is doing, live."`
	Events  eventsCmd      `cmd:"" help:"Show what happens in the running server, live."`
	Config  configCmd      `cmd:"" help:"Check and show the configuration."`
	Reload  reloadCmd      `cmd:"" help:"Make the running server read its configuration and certificates again."`
	Tell    announceCmd    `cmd:"" name:"announce" help:"Send a message to all clients that are online."`
	Block   blockCmd       `cmd:"" help:"Block networks and accounts, and list what is blocked."`
	Unblock unblockCmd     `cmd:"" help:"Remove a block."`
	Invite  inviteCmd      `cmd:"" help:"Invite people to create accounts."`
	Drain   drainCmd       `cmd:"" help:"Disconnect all clients at a limited pace, before an upgrade or a move."`
	User    userCmd        `cmd:"" help:"Manage accounts, whether the server is running or not."`
	Export  exportCmd      `cmd:"" help:"Write accounts with all their data to a file, for another server or another roost."`
	Import  importCmd      `cmd:"" help:"Add accounts with all their data from a file, or from what another server has stored."`
	Backup  backupCmd      `cmd:"" help:"Write a backup of the database and the server's other files, whether the server is running or not."`
	Restore restoreCmd     `cmd:"" help:"Restore a backup into an empty data directory."`
	Stores  storeCmd       `cmd:"" name:"store" help:"Copy everything that is stored to another database."`
	Log     logCmd         `cmd:"" help:"Change the log level of the running server."`
	Admin   adminCmd       `cmd:"" help:"Manage access to the administration interface."`
	Bench   benchCmd       `cmd:"" hidden:"" passthrough:"" help:"Benchmarks are a separate program, roost-bench."`
	Version cli.VersionCmd `cmd:"" help:"Show the version."`

	Completion cli.CompletionCmd `cmd:"" help:"Write the completion of commands and flags for a shell."`
	Man        cli.ManCmd        `cmd:"" hidden:"" help:"Write the manual pages."`

	from cli.Sources // flags set in the config file
	read configRead  // what it says
}

func main() { os.Exit(run(os.Args[1:])) }

// program describes this program.
func program() cli.Program {
	return cli.Program{
		Name:        "roost",
		Description: "An XMPP server for very large numbers of mostly idle clients. Start with: roost serve, then: roost user add romeo@localhost",
		Stderr:      os.Stderr,
		Explain:     func(ctx *kong.Context, err error) error { return inCommands(ctx.Selected(), err) },
	}
}

func run(args []string) int {
	g := grammar{Serve: serveCmd{args: args}}
	parser, err := newParser(&g)
	if err != nil {
		panic("roost: BUG: " + err.Error())
	}
	return program().Run(parser, args, &g.from, g.reportEnv)
}

// reportEnv warns about environment variables without meaning. The server does so in its
// log.
func (g *grammar) reportEnv(ctx *kong.Context) {
	unknown := unknownEnv(ctx.Model.Node, os.Environ())
	if n := ctx.Selected(); n != nil && n.Name == "serve" {
		g.Serve.unknownEnv = unknown
		return
	}
	for _, text := range unknown {
		fmt.Fprintf(os.Stderr, "roost: unknown environment variable: %s\n", text)
	}
}

func newParser(g *grammar) (*kong.Kong, error) {
	return program().Parser(g,
		kong.DefaultEnvars("ROOST"),
		kong.ExplicitGroups(serveGroups),
		kong.Bind(&g.from),
		kong.Bind(&g.read),
		kong.PostBuild(bindSettings),
		kong.PostBuild(hideUnchecked),
		kong.PostBuild(oldEnvs),
		kong.ValueFormatter(helpOf),
	)
}

// suggest returns a command line for this program. data is the data directory; it is
// omitted if it is the default.
func suggest(data string, args ...string) string {
	if data != "" && data != defaultData() {
		args = append(args, "--data", data)
	}
	return program().Suggest(args...)
}

// benchCmd refers to roost-bench: the server does not contain the measurements.
type benchCmd struct {
	Args []string `arg:"" optional:""`
}

// Run is called by kong.
func (*benchCmd) Run() error {
	return errors.New("benchmarks are a separate program, roost-bench; in the source directory, run: go run ./cmd/roost-bench")
}
