// Package cli contains what the command-line programs of this module have in common:
// parsing by kong, exit codes, error messages that suggest a solution, and signals. The
// commands define their own flags.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"roost/internal/logqueue"
	"roost/internal/version"
)

// Exit codes.
const (
	ExitFailure = 1 // the command failed
	ExitUsage   = 2 // the command line, the environment or the config file is wrong
)

// FlushTimeout is how long a program waits for a reader of its output before it exits: a
// stalled reader must not keep it running.
const FlushTimeout = time.Second

// Program describes a program, named like its directory in cmd.
type Program struct {
	Name        string
	Description string
	Stderr      *os.File // for messages to people

	// Explain returns the error that is shown instead of one of the command that ctx has
	// run. nil: the same.
	Explain func(ctx *kong.Context, err error) error
}

// UsageError is a mistake on the command line that is detected only after parsing. The
// program exits with ExitUsage, as after mistakes found during parsing.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Logged is an error that has been logged already.
type Logged struct{ Err error }

func (e Logged) Error() string { return e.Err.Error() }
func (e Logged) Unwrap() error { return e.Err }

// Parser returns a parser of command lines. grammar is a pointer to a struct with the
// commands and their flags.
func (p Program) Parser(grammar any, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(grammar, append([]kong.Option{
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.WithHyphenPrefixedParameters(true), // --idle-timeout -1s
		kong.Vars{"cpus": fmt.Sprint(runtime.GOMAXPROCS(0))},
	}, options...)...)
}

// Run parses a command line, calls before, which may be nil, runs the command, and
// returns the exit code. It prints errors to p.Stderr. from records where flags were set
// outside the command line; Run reads it after parsing.
func (p Program) Run(parser *kong.Kong, args []string, from *Sources, before func(*kong.Context)) int {
	args = CommandOf(args)
	ctx, err := parser.Parse(args)
	if err == nil {
		if before != nil {
			before(ctx)
		}
		if err = ctx.Run(); err != nil && p.Explain != nil {
			err = p.Explain(ctx, err)
		}
	}
	if err == nil {
		return 0
	}
	var parse *kong.ParseError
	var usage UsageError
	if errors.As(err, &parse) {
		ctx = parse.Context
	} else if !errors.As(err, &usage) {
		p.complain(err)
		return ExitFailure
	}
	p.complain(errors.New(from.explain(p, ctx, args, err)))
	return ExitUsage
}

// complain prints the error that ends the program, unless it is in the log. A stalled
// reader of stderr does not keep the program running.
func (p Program) complain(err error) {
	var logged Logged
	if errors.As(err, &logged) {
		return
	}
	q := logqueue.New(p.Stderr, 0, nil)
	fmt.Fprintln(q, p.Name+":", err)
	q.Close(FlushTimeout)
}

// CommandOf maps common first attempts, such as --version, to existing commands.
func CommandOf(args []string) []string {
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

// Interrupted returns a context that ends with Ctrl-C, Ctrl-\ or SIGTERM.
func Interrupted() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM)
}

// VersionCmd is the command that prints the version.
type VersionCmd struct{}

// Run prints the version.
func (VersionCmd) Run(app *kong.Kong) error {
	release, commit := version.Get()
	if commit != "" {
		commit = " " + commit
	}
	_, err := fmt.Fprintf(app.Stdout, "%s %s%s %s %s/%s\n", app.Model.Name, release, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
