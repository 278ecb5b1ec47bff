package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// configDefaultCmd writes a config file.
type configDefaultCmd struct{}

// Help is shown by kong.
func (configDefaultCmd) Help() string {
	return "All settings are commented out, so that the defaults of later versions apply. Remove the # in front of those that you change."
}

// Run writes the file to stdout.
func (configDefaultCmd) Run(ctx *kong.Context) error {
	for _, n := range ctx.Model.Children {
		if n.Name == "serve" {
			_, err := os.Stdout.Write(defaultConfig(n.Flags))
			return err
		}
	}
	panic("roost: BUG: there is no command serve")
}

// inHelp are the parts of a flag's help that a config file shows otherwise.
var inHelp = regexp.MustCompile(`( ?\(default: [^()]*(\([^()]*\))?[^()]*\)| Repeat for several| Separate several by commas)`)

// defaultConfig is a config file with all flags, by their groups.
func defaultConfig(flags []*kong.Flag) []byte {
	var b bytes.Buffer
	b.WriteString("# Settings of roost serve. Each is shown with its default; remove the # to change it.\n# Sizes have units (KiB, MiB, GiB, or KB, MB, GB), times as well (ms, s, m, h).\n" +
		"# After a change: roost config check FILE, and then roost reload.\n")
	settings := make(map[string]setting)
	for _, s := range new(serveFlags).settings() {
		settings[s.flag] = s
	}
	for _, group := range serveGroups {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, f := range flags {
			s, ok := settings[f.Name]
			if !ok || f.Group == nil || f.Group.Key != group.Key {
				continue
			}
			b.WriteString("\n" + comment(inHelp.ReplaceAllString(f.Help, "")))
			if isHot, note := s.change(); !isHot {
				b.WriteString(comment("A change needs a restart: " + note + "."))
			}
			fmt.Fprintf(&b, "#%s = %s\n", f.Name, tomlDefault(f))
		}
	}
	return b.Bytes()
}

// comment is a text in lines that begin with #.
func comment(text string) string {
	const width = 98
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// tomlDefault is a flag's default as TOML.
func tomlDefault(f *kong.Flag) string {
	text := ""
	if f.HasDefault {
		text = f.Default
	}
	switch t := f.Target.Type(); {
	case t.Kind() == reflect.Slice:
		if text == "" {
			return "[]"
		}
		return "[" + strconv.Quote(text) + "]"
	case t.Kind() == reflect.Bool:
		return strconv.FormatBool(text == "true")
	case t == reflect.TypeFor[int]() && text != "off":
		return text
	}
	return strconv.Quote(text)
}
