package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"roost/internal/cli"
)

// byteSize is a number of bytes on the command line: 65536, 64KiB, 1MiB.
type byteSize int

// maxByteSize is the largest one.
const maxByteSize = 1 << 40

// UnmarshalText reads the number and its unit.
func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > maxByteSize {
		return fmt.Errorf("%q is not a size in bytes such as 65536, 64KiB or 1MiB", text)
	}
	*b = byteSize(n)
	return nil
}

// configFile is the value of the flag --config. The command line and the environment take
// precedence over the file.
type configFile string

// configRead is what was read from a config file.
type configRead struct {
	values   map[string]any // by the names of flags
	places   cli.Sources
	mistakes []string // each with its place
}

// BeforeResolve is called by kong before it fills in defaults.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path, from *cli.Sources, read *configRead) error {
	name, _ := ctx.FlagValue(trace.Flag).(configFile)
	if name == "" {
		return nil
	}
	*read = readConfig(string(name), ctx.Flags())
	*from = read.places
	if len(read.mistakes) > 0 {
		return cli.UsageError(strings.Join(read.mistakes, "; "))
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		value := configValue(read.values[flag.Name])
		if value == "" && !flag.HasDefault {
			return nil, nil // the same as none: kong would take it for a path or an element
		}
		return value, nil
	}))
	return nil
}

// readConfig reads a config file of lines such as
//
//	c2s = ":5222"
//	domain = ["example.org", "example.net"]
//
// whose keys are the names of flags.
func readConfig(name string, flags []*kong.Flag) (r configRead) {
	r.places = make(cli.Sources)
	mistake := func(format string, args ...any) { r.mistakes = append(r.mistakes, fmt.Sprintf(format, args...)) }
	text, err := os.ReadFile(name)
	if err != nil {
		mistake("config file: %v", err)
		return r
	}
	r.values = make(map[string]any)
	if _, err := toml.Decode(string(text), &r.values); err != nil {
		r.values = nil
		if bad := (toml.ParseError{}); errors.As(err, &bad) {
			mistake("%s:%d: %s", name, bad.Position.Line, bad.Message)
		} else {
			mistake("%s: %v", name, err)
		}
		return r
	}
	var known []string
	renamed := make(map[string]string)
	for _, f := range flags {
		for _, alias := range f.Aliases {
			renamed[alias] = f.Name
		}
		if f.Name != "help" && f.Name != "config" {
			known = append(known, f.Name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		place := fmt.Sprintf("%s:%d", name, lineOf(string(text), key))
		if _, table := r.values[key].(map[string]any); table {
			mistake("%s: [%s] is a table; put all keys at the top level, without tables", place, key)
			delete(r.values, key)
			continue
		}
		if name, old := renamed[key]; old {
			if _, both := r.values[name]; both {
				mistake("%s: %q is the former name of %q, which is set, too: remove it", place, key, name)
				continue
			}
			r.values[name], key = r.values[key], name
		}
		if !slices.Contains(known, key) {
			mistake("%s: unknown key %q%s; keys are flag names", place, key, cli.DidYouMean(key, known))
			delete(r.values, key)
			continue
		}
		r.places[key] = place
	}
	return r
}

// lineOf returns the line of a key or table, 1 if it is not found. The TOML package
// reports the positions of errors, but not of keys.
func lineOf(text, key string) int {
	begins := regexp.MustCompile(`^\s*(\[+\s*)?["']?` + regexp.QuoteMeta(key) + `["']?\s*[=.\]]`)
	n := 1
	for line := range strings.Lines(text) {
		if begins.MatchString(line) {
			return n
		}
		n++
	}
	return 1
}

// configValue converts a value of the file to the text that kong expects on the command
// line.
func configValue(v any) any {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil
		}
		if b, ok := v.(bool); ok {
			return b
		}
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = fmt.Sprint(list[i])
	}
	return strings.Join(parts, ",")
}
