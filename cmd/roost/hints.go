package main

import (
	"errors"
	"regexp"

	"roost/admin/api"
)

// requestCommands are the commands that send the requests which hints of the server name.
var requestCommands = map[string]string{
	"GET /v1/accounts":    "roost user list",
	"GET /v1/blocks":      "roost block list",
	"GET /v1/sessions":    "roost online",
	"GET /v1/status":      "roost status",
	"DELETE /v1/announce": "roost announce --abort",
	"DELETE /v1/drain":    "roost drain --abort",
}

var hintedRequest = regexp.MustCompile(`\b(?:GET|PUT|POST|DELETE) /v1/[a-z0-9./-]+`)

// inCommands returns an error of the server with a hint for somebody who uses commands.
func inCommands(err error) error {
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
	return &told
}
