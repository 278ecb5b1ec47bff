package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
	"roost/internal/hot"
	"roost/server"
	"roost/store/stores"
)

// Where a setting has its value from, besides a variable of the environment, which is named,
// and a line of the config file.
const (
	fromDefault = "default"
	fromArgs    = "command line"
)

// launch is a command line of roost serve as it was read, together with the environment and
// the config file.
type launch struct {
	serve  *serveCmd
	given  map[string]bool     // flags on the command line
	envs   map[string][]string // variables of each flag
	places cli.Sources         // flags in the config file
}

// readLaunch reads a command line of roost serve again. What is wrong is said in full, one
// text for each mistake, with its place.
func readLaunch(args []string) (*launch, []string) {
	g, ctx, err := parse(args)
	if err != nil {
		return nil, g.parseMistakes(err)
	}
	return newLaunch(g, ctx), nil
}

func parse(args []string) (*grammar, *kong.Context, error) {
	g := &grammar{Serve: serveCmd{args: args}}
	parser, err := newParser(g)
	if err != nil {
		panic("roost: BUG: " + err.Error())
	}
	ctx, err := parser.Parse(cli.CommandOf(args))
	return g, ctx, err
}

func newLaunch(g *grammar, ctx *kong.Context) *launch {
	l := &launch{serve: &g.Serve, given: make(map[string]bool), envs: make(map[string][]string), places: g.from}
	for _, f := range ctx.Flags() {
		l.envs[f.Name] = f.Envs
	}
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			l.given[p.Flag.Name] = true
		}
	}
	return l
}

// parseMistakes says what is wrong with a command line that cannot be parsed. The parser
// stops at the first mistake, so each key of the config file is tried alone.
func (g *grammar) parseMistakes(first error) []string {
	all := slices.Clone(g.read.mistakes)
	if _, _, err := parse([]string{"serve"}); err == nil { // the environment is in order
		for _, key := range slices.Sorted(maps.Keys(g.read.values)) {
			value := configValue(g.read.values[key])
			if _, _, err := parse([]string{"serve", fmt.Sprintf("--%s=%v", key, value)}); err != nil {
				all = append(all, g.read.places[key]+": "+oneLine(err))
			}
		}
	}
	if len(all) == 0 {
		all = []string{oneLine(first)}
	}
	return all
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// check returns the server's configuration and warnings, or all mistakes, each with its
// place. It reads the certificates, but changes nothing.
func (l *launch) check() (cfg server.Config, warnings, mistakes []string) {
	cfg, wrong := l.serve.checkedConfig(nil)
	if len(wrong) > 0 {
		return cfg, nil, l.located(wrong)
	}
	uncovered, err := server.CheckCertificates(cfg)
	var doubts []mistake
	for _, domain := range uncovered {
		doubts = append(doubts, mistake{"tls-cert", "--tls-cert: no certificate is for the domain " + domain + ": its clients will reject the connection"})
	}
	wrong = append(l.serve.mistakesIn(err), l.serve.mistakesIn(server.CheckBlockFiles(cfg))...)
	return cfg, l.located(doubts), l.located(wrong)
}

// located are the texts of mistakes with their places.
func (l *launch) located(wrong []mistake) (texts []string) {
	for _, m := range wrong {
		text := m.text
		if from := l.source(m.flag); m.flag != "" && from != fromDefault && from != fromArgs {
			text = from + ": " + text
		}
		texts = append(texts, text)
	}
	return texts
}

// source is where a flag has its value from.
func (l *launch) source(flag string) string {
	if l.given[flag] {
		return fromArgs
	}
	for _, env := range l.envs[flag] {
		if _, set := os.LookupEnv(env); set {
			return env
		}
	}
	if place := l.places[flag]; place != "" {
		return place
	}
	return fromDefault
}

// configFields are the fields of the server's configuration by their paths.
var configFields = func() map[string]hot.Field {
	all := make(map[string]hot.Field)
	for _, f := range hot.Fields(reflect.TypeFor[server.Config]()) {
		all[f.Path] = f
	}
	return all
}()

// change says whether a flag can change without a restart, and what else there is to know
// about that. The field that the flag sets has it, and of the program's own flags the tag
// reload.
func (s setting) change() (isHot bool, note string) {
	path, _, _ := strings.Cut(s.tag.Get("sets"), "[")
	if path != "" {
		f, ok := configFields[path]
		if !ok || !f.Setting {
			panic("roost: BUG: --" + s.flag + " sets " + path + ", which is no setting")
		}
		return f.Hot, f.Note
	}
	kind, note, _ := strings.Cut(s.tag.Get("reload"), ": ")
	if kind != "yes" && kind != "no" {
		panic("roost: BUG: it is not known whether --" + s.flag + " can be reloaded")
	}
	return kind == "yes", note
}

// isSetting reports whether a flag is a setting: --config only says where others are.
func (s setting) isSetting() bool { return s.flag != "config" }

// text is the setting's value as on the command line, without a password.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case string:
		if (s.flag == "store" || s.flag == "cluster") && v != "" {
			return stores.Redact(v)
		}
	}
	if _, can := s.tag.Lookup("off"); can && s.value.CanInt() && s.value.Equal(offValue(s.value.Type())) {
		return "off"
	}
	return valueText(s.value)
}
