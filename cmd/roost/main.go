// Command roost is an XMPP server for very large numbers of mostly idle clients.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// cli is the whole command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Check   checkCmd   `cmd:"" help:"Say whether this machine can hold so many sessions, and what to do where it cannot."`
	Bench   benchCmd   `cmd:"" help:"Measure."`
	User    userCmd    `cmd:"" help:"Manage accounts, while the server runs or not."`
	Version versionCmd `cmd:"" help:"Show the version."`
}

// Exit codes.
const (
	exitFailure = 1 // it was tried and did not work
	exitUsage   = 2 // the command line, the environment or the config file is wrong
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	parser, err := newParser(&cli{})
	if err != nil {
		panic("roost: BUG: " + err.Error())
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if err == nil {
		err = ctx.Run()
	}
	if err == nil {
		return 0
	}
	complain(err)
	var parse *kong.ParseError
	var usage usageError
	if errors.As(err, &parse) || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func newParser(c *cli) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("roost"),
		kong.Description("An XMPP server for very large numbers of mostly idle clients."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.DefaultEnvars("ROOST"),
		kong.WithHyphenPrefixedParameters(true), // --idle-timeout -1s
		kong.ExplicitGroups(serveGroups),
		kong.Vars{"cpus": fmt.Sprint(runtime.GOMAXPROCS(0))},
	)
}

type versionCmd struct{}

// Run prints the version that the Go tool wrote into the program.
func (versionCmd) Run() error {
	version, commit := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value
			}
		}
	}
	fmt.Printf("roost %s%s %s %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
