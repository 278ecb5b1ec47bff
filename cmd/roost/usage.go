package main

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
	"roost/server"
)

// flagOf returns the name of the flag that sets a field of the server's configuration,
// "" if none does.
func (c *serveFlags) flagOf(path string) string {
	for _, s := range c.settings() {
		if s.tag.Get("sets") == path {
			return s.flag
		}
	}
	return ""
}

// validConfig returns the server's configuration, or a usage error that lists all
// mistakes in the flags.
func (c *serveFlags) validConfig(log *slog.Logger) (server.Config, error) {
	cfg, wrong := c.checkedConfig(log)
	if len(wrong) > 0 {
		var texts []string
		for _, m := range wrong {
			texts = append(texts, m.text)
		}
		return cfg, cli.UsageError(strings.Join(texts, "; "))
	}
	return cfg, nil
}

// checkedConfig is the server's configuration, and all that is wrong with the flags.
func (c *serveFlags) checkedConfig(log *slog.Logger) (server.Config, []mistake) {
	wrong := c.findCredentials()
	cfg := c.serverConfig(log)
	told := make(map[string]bool)
	wrong = append(wrong, c.mistakes()...)
	for _, m := range wrong {
		told[m.flag] = true
	}
	for _, m := range c.mistakesIn(cfg.Validate()) {
		if m.flag == "" || !told[m.flag] {
			wrong = append(wrong, m)
		}
	}
	if c.Pprof != "" {
		if err := profileAddr(c.Pprof); err != nil {
			wrong = append(wrong, mistake{"pprof", err.Error()})
		}
	}
	return cfg, wrong
}

// mistakesIn are the mistakes that were found in the server's configuration, with the flags
// that set the fields.
func (c *serveFlags) mistakesIn(err error) (wrong []mistake) {
	for _, err := range split(err) {
		m := mistake{text: err.Error()}
		var field *server.FieldError
		if errors.As(err, &field) {
			if m.flag = c.flagOf(field.Field); m.flag != "" {
				m.text = "--" + m.flag + ": " + m.text
			}
		}
		wrong = append(wrong, m)
	}
	return wrong
}

// split returns the errors that were joined, none for nil.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}

// unknownEnv returns the environment variables ROOST_… that do not belong to a flag, each
// with the most similar name. They are not an error: Kubernetes sets variables with such
// names for a service called roost.
func unknownEnv(app *kong.Node, environ []string) (unknown []string) {
	var known []string
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			known = append(known, f.Envs...)
		}
		return next(nil)
	})
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "ROOST_") && !slices.Contains(known, name) {
			unknown = append(unknown, name+cli.DidYouMean(name, known))
		}
	}
	slices.Sort(unknown)
	return unknown
}
