package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
)

// commandRequests are the operations of the administration interface that a command sends,
// for all commands that send fields.
var commandRequests = map[string][]string{
	"announce": {"announce.start"}, "block add": {"block.add"}, "unblock": {"block.remove"}, "invite create": {"invitation.create"}, "invite revoke": {"invitation.revoke"}, "drain": {"drain.start"}, "events": {"events"},
	"log level": {"log.level.change"}, "online": {"session.list"}, "session show": {"session.show"}, "session end": {"session.end"}, "trace": {"session.trace"},
	"user add": {"account.create"}, "user passwd": {"account.password"}, "user disable": {"account.disable"}, "user enable": {"account.enable"},
	"user logout": {"account.logout"}, "user del": {"account.delete"}, "user show": {"account.show"}, "user list": {"account.list"}, "user import": {"account.import"},
}

// ownFields are fields that commands fill in by themselves: nobody has written them. A
// password is read from a terminal or from standard input.
var ownFields = []string{"cursor", "limit", "prefix", "password", "event", "accounts"}

// TestFieldsOfCommands: an error of the server about a field names the flag or the argument of
// the command: for every field that there is.
func TestFieldsOfCommands(t *testing.T) {
	dir := t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	fields := operationFields(t, dir)
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	tagged := 0
	for _, command := range parser.Model.Leaves(false) {
		name := strings.TrimPrefix(command.Path(), "roost ")
		var known []string
		for _, operation := range commandRequests[name] {
			if fields[operation] == nil {
				t.Errorf("there is no operation %s with fields", operation)
			}
			known = append(known, fields[operation]...)
		}
		for _, field := range known {
			given := givenAs(command, field)
			if given == nil {
				if !slices.Contains(ownFields, field) {
					t.Errorf("roost %s: no flag or argument has the tag %s:%q", name, fieldTag, field)
				}
				continue
			}
			want := "--" + given.Name
			if given.Tag.Arg {
				want = "<" + given.Name + ">"
			}
			var e *api.Error
			if err := inCommands(command, &api.Error{Message: field + " must be other", Field: field}); !errors.As(err, &e) || e.Message != want+" must be other" {
				t.Errorf("roost %s: %v, want it to name %s", name, err, want)
			}
		}
		for _, v := range valuesOf(command) {
			if field := v.Tag.Get(fieldTag); field != "" {
				tagged++
				if name == "import" { // it shares flags with commands that make requests
					continue
				}
				nested := name == "user import" && field == "iterations"
				listed := name == "user del" && slices.Contains(fields["account.list"], field) // many accounts are listed first
				if !slices.Contains(known, field) && !nested && !listed {
					t.Errorf("roost %s: the tag %s:%q is not a field of its requests, which are %q", name, fieldTag, field, commandRequests[name])
				}
			}
		}
	}
	if tagged < 45 {
		t.Errorf("only %d tags were found", tagged)
	}
}

// operationFields are the parameters, fields of the body and variables of the path of the
// operations of a running server.
func operationFields(t *testing.T, dir string) map[string][]string {
	t.Helper()
	client := api.Local(dir + "/" + api.SocketName)
	defer client.Close()
	var d struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct{ Name string }
			Body       struct {
				Content map[string]struct{ Schema map[string]string }
			} `json:"requestBody"`
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	if err := client.Get(t.Context(), api.PathOpenAPI, nil, &d); err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, methods := range d.Paths {
		for _, o := range methods {
			for _, p := range o.Parameters {
				all[o.ID] = append(all[o.ID], p.Name)
			}
			ref := o.Body.Content["application/json"].Schema["$ref"]
			for name := range d.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]].Properties {
				all[o.ID] = append(all[o.ID], name)
			}
		}
	}
	return all
}

// TestWrongFields: what people see.
func TestWrongFields(t *testing.T) {
	_, f := failures(t)
	f("--over must be 0 to 604800 seconds (168h)", "drain", "--over", "200h")
	f(`--to: "a b" is not a host: such as xmpp2.example.org, 192.0.2.1:5222 or [2001:db8::1]:5222`, "drain", "--to", "a b")
	f("--say must be at most 200 printable characters", "drain", "--say", "\x01")
	f("--at must be at most 30 days from now", "drain", "--at", "2999-01-01T00:00:00Z")
	f("--in must be at most 30 days from now", "drain", "--in", "1000h")
	f("--rate must be 0.001 to 1000000 clients a second", "announce", "x", "--rate", "1e9")
	f("<text> must be at most 4000 characters, without control characters but line breaks and tabs", "announce", "\x01")
	f("--subject must be at most 200 printable characters", "announce", "x", "--subject", "\x01")
	f(`--domain: "example.com" is not a domain of this server: roost status lists the domains`, "announce", "x", "--domain", "example.com")
	f("--for must be 0 to 315360000 seconds (87600h): leave it out for a block without an end", "block", "192.0.2.1", "--for", "90000h")
	f("--reason must be at most 200 printable characters", "block", "192.0.2.1", "--reason", "\x01")
	f(`"192.0.2" is not a network, an address or an account: such as 192.0.2.0/24, 2001:db8::/32, 192.0.2.1 or romeo@example.org`, "block", "192.0.2")
	f(`--network: "x" is not a network or an address: such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1`, "online", "--network", "x")
	f("--text must be at most 200 printable characters", "session", "end", "romeo@localhost/x", "--text", "\x01")
	f("--text must be at most 200 printable characters", "user", "logout", "romeo@localhost", "--text", "\x01")
}
