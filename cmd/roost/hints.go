package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/admin/api"
)

// requestCommands are the commands that send the requests which hints of the server name.
var requestCommands = map[string]string{
	"GET /v1/accounts":    "roost user list",
	"GET /v1/blocks":      "roost block list",
	"GET /v1/invitations": "roost invite list",
	"GET /v1/sessions":    "roost online",
	"GET /v1/status":      "roost status",
	"DELETE /v1/announce": "roost announce --abort",
	"DELETE /v1/drain":    "roost drain --abort",
}

var hintedRequest = regexp.MustCompile(`\b(?:GET|PUT|POST|DELETE) /v1/[a-z0-9./-]+`)

// fieldTag is the tag of flags and arguments whose value is sent to the server: the name of
// the field or parameter in the request.
const fieldTag = "field"

// inCommands returns an error of the server for somebody who uses commands: with the flag of
// this command, which may be nil, that is wrong, and with commands in the hint.
func inCommands(command *kong.Node, err error) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	switch {
	case e.Hint == "GET "+api.PathOpenAPI+" has all of them", e.Hint == "GET "+api.PathOpenAPI+" has its fields":
		told.Hint = "this command is of another version than the server, see roost version and roost status"
	case e.Code == api.CodeNotServed:
		told.Hint = "serve the domain, or use --any-domain"
	default:
		told.Hint = hintedRequest.ReplaceAllStringFunc(e.Hint, func(request string) string {
			if command := requestCommands[request]; command != "" {
				return command
			}
			return request
		})
	}
	if given := givenAs(command, e.Field); given != nil {
		return named(&told, given)
	}
	return &told
}

// givenAs returns the flag or argument of a command that becomes a field of the request; nil
// if there is none. Of several, it is one that was given.
func givenAs(command *kong.Node, field string) (found *kong.Value) {
	if command == nil || field == "" {
		return nil
	}
	for _, v := range valuesOf(command) {
		if v.Tag.Get(fieldTag) == field && (found == nil || !v.Target.IsZero()) {
			found = v
		}
	}
	return found
}

// valuesOf returns the arguments and flags of a command.
func valuesOf(command *kong.Node) []*kong.Value {
	values := slices.Clone(command.Positional)
	for _, f := range command.Flags {
		values = append(values, f.Value)
	}
	return values
}

// named returns an error that names what was given on the command line.
func named(e *api.Error, given *kong.Value) *api.Error {
	switch {
	case !given.Tag.Arg:
		return e.Naming("--" + given.Name)
	case strings.HasPrefix(e.Message, e.Field+" "):
		return e.Naming("<" + given.Name + ">")
	}
	return e // it cites the argument
}
