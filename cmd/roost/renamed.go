package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// A flag that was renamed keeps its former name for one release: as an alias on the
// command line, in the environment and in the config file. Help does not show it.

// oldEnvs has flags read the variables of their former names, too; the variable of the
// present name takes precedence.
func oldEnvs(k *kong.Kong) error {
	return kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok && len(f.Tag.Envs) > 0 {
			for _, alias := range f.Aliases {
				f.Tag.Envs = append(f.Tag.Envs, "ROOST_"+strings.ToUpper(strings.ReplaceAll(alias, "-", "_")))
			}
			f.Envs = f.Tag.Envs
		}
		return next(nil)
	})
}

// helpOf returns the help of a flag, with the variable of its present name only. It
// omits the variables of switches of single commands, such as --create: they only
// exist because every flag has one.
func helpOf(v *kong.Value) string {
	shown, tag := *v, *v.Tag
	tag.Envs = tag.Envs[:min(1, len(tag.Envs))]
	if v.IsBool() && !tag.Has("sets") {
		tag.Envs = nil
	}
	shown.Tag = &tag
	return kong.DefaultHelpValueFormatter(&shown)
}
