package cli

import (
	"bytes"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCmd is the command that writes the completion of a shell.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is shown by kong.
func (CompletionCmd) Help() string {
	return "The script is written to standard output. bash and zsh use it when it is sourced, fish when it is piped into source. " +
		"Packages install it where the shells look for it; where that is, and how to do it by hand, is in docs/install.md."
}

// Run writes the script.
func (c CompletionCmd) Run(app *kong.Kong) error {
	_, err := app.Stdout.Write(Completion(app.Model.Node, c.Shell))
	return err
}

// Completion returns the completion of a program for a shell: bash, zsh or fish. The script
// has all commands and flags, and does not run the program.
func Completion(app *kong.Node, shell string) []byte {
	c := newCompletion(app)
	var b bytes.Buffer
	b.WriteString("# " + shell + " completion of " + c.name + ", by: " + c.name + " completion " + shell + "\n")
	switch shell {
	case "bash":
		c.bash(&b)
	case "zsh":
		script := b.String()
		b.Reset()
		b.WriteString("#compdef " + c.name + "\n" + script) // must be the first line
		c.zsh(&b)
	case "fish":
		c.fish(&b)
	default:
		panic("cli: BUG: no completion for " + shell)
	}
	return b.Bytes()
}

// completion is what a shell can complete.
type completion struct {
	name     string
	commands []completedCommand // that of the program itself is the first
}

// completedCommand is a command with what may follow it.
type completedCommand struct {
	path     string // such as user add
	children []*kong.Node
	flags    []completedFlag
	argument expected
}

type completedFlag struct {
	name, help string // with --
	expected
}

// expected is what a flag or an argument has as its value.
type expected struct {
	value bool     // there is one
	files bool     // it is the name of a file
	dirs  bool     // it is the name of a directory
	words []string // it is one of these
}

func newCompletion(app *kong.Node) *completion {
	c := &completion{name: app.Name}
	eachCommand(app, func(path []string, n *kong.Node) {
		command := completedCommand{path: strings.Join(path, " "), children: visible(n)}
		for _, f := range flagsOf(n) {
			command.flags = append(command.flags, completedFlag{"--" + f.Name, summary(f.Help), expectedOf(f.Value)})
			if f.Tag.Negatable != "" {
				command.flags = append(command.flags, completedFlag{name: "--no-" + f.Name, help: summary(f.Help)})
			}
		}
		if len(n.Positional) > 0 {
			command.argument = expectedOf(n.Positional[0])
		}
		c.commands = append(c.commands, command)
	})
	return c
}

// eachCommand calls f with a command and all below it that are not hidden, with the names that
// lead to them.
func eachCommand(n *kong.Node, f func(path []string, n *kong.Node)) {
	var walk func(path []string, n *kong.Node)
	walk = func(path []string, n *kong.Node) {
		f(path, n)
		for _, child := range visible(n) {
			walk(append(slices.Clone(path), child.Name), child)
		}
	}
	walk(nil, n)
}

// visible returns the commands of a command.
func visible(n *kong.Node) (children []*kong.Node) {
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			children = append(children, child)
		}
	}
	return children
}

// flagsOf returns the flags of a command that its help shows, its own first.
func flagsOf(n *kong.Node) (flags []*kong.Flag) {
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if !f.Hidden {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

// summary returns the first sentence or part of a help text, without the default.
func summary(help string) string {
	for _, end := range []string{". ", "; ", " (default"} {
		help, _, _ = strings.Cut(help, end)
	}
	return strings.TrimSuffix(help, ".")
}

func expectedOf(v *kong.Value) expected {
	e := expected{value: !v.IsBool()}
	for _, word := range v.EnumSlice() {
		if word != "" {
			e.words = append(e.words, word)
		}
	}
	what := v.Name // of an argument
	if v.Flag != nil {
		what = v.Flag.PlaceHolder
	}
	switch strings.ToUpper(what) {
	case "DIR":
		e.dirs = e.value
	case "FILE", "FILES", "SOURCE":
		e.files = e.value
	}
	return e
}

// values groups the flags of all commands by what they expect. Each is named by its command
// and its own name, such as " user add --data".
type values struct {
	files, dirs, other []string
	words              []wordValues
}

// wordValues are the flags that have one of the same words as their value.
type wordValues struct{ words, flags []string }

func (c *completion) values() (v values) {
	for _, command := range c.commands {
		for _, f := range command.flags {
			name := command.at() + " " + f.name
			switch {
			case len(f.words) > 0:
				i := slices.IndexFunc(v.words, func(w wordValues) bool { return slices.Equal(w.words, f.words) })
				if i < 0 {
					i = len(v.words)
					v.words = append(v.words, wordValues{words: f.words})
				}
				v.words[i].flags = append(v.words[i].flags, name)
			case f.files:
				v.files = append(v.files, name)
			case f.dirs:
				v.dirs = append(v.dirs, name)
			case f.value:
				v.other = append(v.other, name)
			}
		}
	}
	return v
}

// at is the path with a space before each name.
func (c *completedCommand) at() string {
	if c.path == "" {
		return ""
	}
	return " " + c.path
}

// paths returns the paths of all commands but the program's own.
func (c *completion) paths() (all []string) {
	for _, command := range c.commands[1:] {
		all = append(all, command.at())
	}
	return all
}

// quoted returns words in single quotes with something between them.
func quoted(words []string, between string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = single(w)
	}
	return strings.Join(all, between)
}

// single returns a word in single quotes, for bash and zsh.
func single(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
