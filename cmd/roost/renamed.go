package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// A renamed flag keeps its former name for one release, as an alias on the command line,
// in the environment and in the config file. The help does not show the alias.

// oldEnvs lets flags read the variables of their former names, too. The current name
// takes precedence.
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

// helpOf returns the help of a flag, with the variable of its current name only. It omits
// the variables of switches of single commands, such as --create: they exist only because
// kong gives one to every flag.
func helpOf(v *kong.Value) string {
	shown, tag := *v, *v.Tag
	tag.Envs = tag.Envs[:min(1, len(tag.Envs))]
	if v.IsBool() && !tag.Has("sets") {
		tag.Envs = nil
	}
	shown.Tag = &tag
	return kong.DefaultHelpValueFormatter(&shown)
}
