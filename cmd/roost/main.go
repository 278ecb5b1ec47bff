// Command roost is an XMPP server for very large numbers of mostly idle clients.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/alecthomas/kong"
)

// cli is the whole command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Check   checkCmd   `cmd:"" help:"Say whether this machine can hold so many sessions, and what to do where it cannot."`
	Bench   benchCmd   `cmd:"" help:"Measure."`
	User    userCmd    `cmd:"" help:"Manage accounts, while the server runs or not."`
	Version versionCmd `cmd:"" help:"Show the version."`

	from sources // of flags that the config file has
}

// Exit codes.
const (
	exitFailure = 1 // it was tried and did not work
	exitUsage   = 2 // the command line, the environment or the config file is wrong
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		panic("roost: BUG: " + err.Error())
	}
	args = commandOf(args)
	ctx, err := parser.Parse(args)
	if err == nil {
		c.reportEnv(ctx)
		err = ctx.Run()
	}
	if err == nil {
		return 0
	}
	var parse *kong.ParseError
	var usage usageError
	if errors.As(err, &parse) {
		ctx = parse.Context
	} else if !errors.As(err, &usage) {
		complain(err)
		return exitFailure
	}
	complain(errors.New(c.from.explain(ctx, args, err)))
	return exitUsage
}

// commandOf turns what people try first into what there is.
func commandOf(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// reportEnv says which variables of the environment have no meaning. The server
// does so in its log.
func (c *cli) reportEnv(ctx *kong.Context) {
	unknown := unknownEnv(ctx.Model.Node, os.Environ())
	if n := ctx.Selected(); n != nil && n.Name == "serve" {
		c.Serve.unknownEnv = unknown
		return
	}
	for _, text := range unknown {
		fmt.Fprintf(os.Stderr, "roost: an environment variable has no meaning: %s\n", text)
	}
}

func newParser(c *cli) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("roost"),
		kong.Description("An XMPP server for very large numbers of mostly idle clients. roost help COMMAND tells more of a command."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.DefaultEnvars("ROOST"),
		kong.WithHyphenPrefixedParameters(true), // --idle-timeout -1s
		kong.ExplicitGroups(serveGroups),
		kong.Vars{"cpus": fmt.Sprint(runtime.GOMAXPROCS(0))},
		kong.Bind(&c.from),
		kong.PostBuild(hideUnchecked),
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
