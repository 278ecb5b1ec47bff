package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// byteSize is a number of bytes on the command line: 65536, 64KiB, 1MiB.
type byteSize int

// UnmarshalText reads the number and its unit.
func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<40 {
		return fmt.Errorf("%q is not a size in bytes such as 65536, 64KiB or 1MiB", text)
	}
	*b = byteSize(n)
	return nil
}

// configFile is the flag --config. What the file says counts where neither the
// command line nor the environment says anything.
type configFile string

// BeforeResolve is called by kong before defaults are filled in.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	name, _ := ctx.FlagValue(trace.Flag).(configFile)
	if name == "" {
		return nil
	}
	return addConfig(ctx, string(name))
}

// addConfig reads a config file of lines such as
//
//	c2s = ":5222"
//	domain = ["example.org", "example.net"]
//
// whose keys are the names of flags. roost check takes the server's file, and
// passes over what does not concern it.
func addConfig(ctx *kong.Context, name string) error {
	values := make(map[string]any)
	if _, err := toml.DecodeFile(name, &values); err != nil {
		return usageError(fmt.Sprintf("config file %s: %v", name, err))
	}
	known := make(map[string]bool)
	for _, f := range ctx.Flags() {
		known[f.Name] = true
	}
	for _, command := range ctx.Model.Children {
		if command.Name == "serve" {
			for _, f := range command.Flags {
				known[f.Name] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !known[key] {
			return usageError(fmt.Sprintf("config file %s: %q is no flag of this command; see roost serve --help", name, key))
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		return configValue(values[flag.Name]), nil
	}))
	return nil
}

// configValue turns a value of the file into what kong understands: text, as on
// the command line.
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
