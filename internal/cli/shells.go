package cli

import (
	"bytes"
	"fmt"
	"strings"
)

// The scripts of bash and zsh look at the words on the command line for the command, and then
// choose by the command and the word before the cursor.

func (c *completion) bash(b *bytes.Buffer) {
	function := c.function()
	fmt.Fprintf(b, `
%s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= i
	COMPREPLY=()
	# The = in --flag=value is a word of its own.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]] && ((COMP_CWORD > 2)); then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at ${COMP_WORDS[i]}" in
		%s)
			at+=" ${COMP_WORDS[i]}" ;;
		esac
	done
	case "$at $prev" in
`, function, quoted(c.paths(), "|"))
	arm := func(flags []string, do string) {
		if len(flags) > 0 {
			fmt.Fprintf(b, "\t%s)\n\t\t%s; return ;;\n", quoted(flags, "|"), do)
		}
	}
	const (
		files = `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
		dirs  = `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur")`
	)
	words := func(words []string) string {
		return `mapfile -t COMPREPLY < <(compgen -W ` + single(strings.Join(words, " ")) + ` -- "$cur")`
	}
	all := c.values()
	for _, w := range all.words {
		arm(w.flags, words(w.words))
	}
	arm(all.files, files)
	arm(all.dirs, dirs)
	arm(all.other, ":")
	b.WriteString("\tesac\n\tif [[ $cur == -* ]]; then\n\t\tcase $at in\n")
	for _, command := range c.commands {
		var names []string
		for _, f := range command.flags {
			names = append(names, f.name)
		}
		fmt.Fprintf(b, "\t\t%s) %s ;;\n", single(command.at()), words(names))
	}
	b.WriteString("\t\tesac\n\t\treturn\n\tfi\n\tcase $at in\n")
	for _, command := range c.commands {
		var do string
		switch {
		case len(command.children) > 0:
			var names []string
			for _, child := range command.children {
				names = append(names, child.Name)
			}
			do = words(names)
		case len(command.argument.words) > 0:
			do = words(command.argument.words)
		case command.argument.files:
			do = files
		default:
			continue
		}
		fmt.Fprintf(b, "\t%s) %s ;;\n", single(command.at()), do)
	}
	fmt.Fprintf(b, "\tesac\n}\ncomplete -F %s %s\n", function, c.name)
}

func (c *completion) zsh(b *bytes.Buffer) {
	function := c.function()
	fmt.Fprintf(b, `
%s() {
	local at= flag=${words[CURRENT-1]} i
	local -a list
	for ((i = 2; i < CURRENT; i++)); do
		case "$at ${words[i]}" in
		(%s)
			at+=" ${words[i]}" ;;
		esac
	done
	if [[ $PREFIX == --*=* ]]; then
		flag=${PREFIX%%%%=*}
		compset -P '--*='
	fi
	case "$at $flag" in
`, function, quoted(c.paths(), "|"))
	arm := func(flags []string, do string) {
		if len(flags) > 0 {
			fmt.Fprintf(b, "\t(%s)\n\t\t%s; return ;;\n", quoted(flags, "|"), do)
		}
	}
	all := c.values()
	for _, w := range all.words {
		arm(w.flags, "compadd -- "+quoted(w.words, " "))
	}
	arm(all.files, "_files")
	arm(all.dirs, "_files -/")
	arm(all.other, "_message value")
	b.WriteString("\tesac\n\tif [[ $PREFIX == -* ]]; then\n\t\tcase $at in\n")
	for _, command := range c.commands {
		fmt.Fprintf(b, "\t\t(%s) list=(", single(command.at()))
		for _, f := range command.flags {
			b.WriteString("\n\t\t\t" + single(f.name+":"+f.help))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("\t\tesac\n\t\t_describe -o option list\n\t\treturn\n\tfi\n\tcase $at in\n")
	for _, command := range c.commands {
		switch {
		case len(command.children) > 0:
			fmt.Fprintf(b, "\t(%s) list=(", single(command.at()))
			for _, child := range command.children {
				b.WriteString("\n\t\t" + single(child.Name+":"+summary(child.Help)))
			}
			b.WriteString(")\n\t\t_describe command list ;;\n")
		case len(command.argument.words) > 0:
			fmt.Fprintf(b, "\t(%s) compadd -- %s ;;\n", single(command.at()), quoted(command.argument.words, " "))
		case command.argument.files:
			fmt.Fprintf(b, "\t(%s) _files ;;\n", single(command.at()))
		}
	}
	// zsh calls the script itself when it has found it, and the function when it was sourced.
	fmt.Fprintf(b, "\tesac\n}\nif [[ ${funcstack[1]} == %[1]s ]]; then\n\t%[1]s \"$@\"\nelse\n\tcompdef %[1]s %[2]s\nfi\n", function, c.name)
}

func (c *completion) fish(b *bytes.Buffer) {
	function := "_" + c.function()
	fmt.Fprintf(b, `
# Whether the command on the command line is this one.
function %s
	set -l words (commandline -opc)
	set -e words[1]
	set -l at
	for word in $words
		if contains -- "$at $word" %s
			set at "$at $word"
		end
	end
	test "$at" = "$argv[1]"
end

complete -c %s -f
`, function, fishQuoted(c.paths()), c.name)
	for _, command := range c.commands {
		line := func(format string, args ...any) {
			fmt.Fprintf(b, "complete -c %s -n %s %s\n", c.name, fishSingle(function+" "+fishSingle(command.at())), fmt.Sprintf(format, args...))
		}
		for _, child := range command.children {
			line("-a %s -d %s", child.Name, fishSingle(summary(child.Help)))
		}
		switch {
		case len(command.argument.words) > 0:
			line("-a %s", fishSingle(strings.Join(command.argument.words, " ")))
		case command.argument.files:
			line("-F")
		}
		for _, f := range command.flags {
			value := ""
			switch {
			case len(f.words) > 0:
				value = " -x -a " + fishSingle(strings.Join(f.words, " "))
			case f.files:
				value = " -r -F"
			case f.dirs:
				value = " -x -a '(__fish_complete_directories)'"
			case f.value:
				value = " -x"
			}
			line("-l %s%s -d %s", strings.TrimPrefix(f.name, "--"), value, fishSingle(f.help))
		}
	}
}

// fishSingle returns a word in single quotes for fish, where \ and ' are escaped.
func fishSingle(word string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(word) + "'"
}

func fishQuoted(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = fishSingle(w)
	}
	return strings.Join(all, " ")
}

// function is the name of the shell function.
func (c *completion) function() string { return "_" + strings.ReplaceAll(c.name, "-", "_") }
