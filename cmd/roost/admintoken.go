package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"roost/admin"
	"roost/internal/cli"
	"roost/internal/ownfile"
)

// adminCmd manages access to the administration interface.
type adminCmd struct {
	Token tokenCmd `cmd:"" help:"Manage the tokens that roost serve --admin accepts."`
}

type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Create a token and show it; it cannot be shown again. A running server accepts it immediately."`
	List   tokenListCmd   `cmd:"" help:"List the names and scopes of tokens."`
	Remove tokenRemoveCmd `cmd:"" help:"Remove a token. A running server refuses it immediately."`
}

// tokenFlags name the token file.
type tokenFlags struct {
	Data   string `default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Data directory of the server (default: ${default})."`
	Tokens string `name:"admin-tokens" env:"ROOST_ADMIN_TOKENS" type:"path" placeholder:"FILE" help:"The token file (default: admin-tokens in the data directory)."`
}

func (f *tokenFlags) file() (string, error) {
	if f.Tokens != "" {
		return f.Tokens, nil
	}
	if info, err := os.Stat(f.Data); err != nil || !info.IsDir() {
		return "", cli.UsageError(fmt.Sprintf("there is no data directory %s: name the server's with --data, or create it with roost admin token add --create", f.Data))
	}
	return filepath.Join(f.Data, admin.TokensName), nil
}

// change changes the token file and records that in the audit log, which is opened before.
func (f *tokenFlags) change(log *auditFlag, action, name string, params map[string]any, edit func(file string) error) error {
	file, err := f.file()
	if err != nil {
		return err
	}
	audit, err := log.open()
	if err != nil {
		return err
	}
	err = edit(file)
	params["file"] = file
	auditCommand(audit, "roost admin", action, name, params, err)
	return errors.Join(err, audit.Close())
}

type tokenAddCmd struct {
	Name   string `arg:"" help:"Name of the token, such as its user or program; the audit log shows it."`
	Scope  string `required:"" env:"ROOST_TOKEN_SCOPE" enum:"read,write" placeholder:"SCOPE" help:"What the token allows: read (changes nothing) or write (everything)."`
	Create bool   `env:"ROOST_CREATE" help:"Create the data directory if there is none, as the server does when it starts for the first time."`
	tokenFlags
	auditFlag
}

// Run makes a token.
func (c *tokenAddCmd) Run() error {
	if c.Create && c.Tokens == "" {
		if err := ownfile.MkdirAll(c.Data, 0o700); err != nil {
			return err
		}
	}
	return c.change(&c.auditFlag, "token.add", c.Name, map[string]any{"scope": c.Scope}, func(file string) error {
		secret, err := admin.AddToken(file, c.Name, admin.Scope(c.Scope))
		if err == nil {
			fmt.Println(secret)
			fmt.Fprintln(os.Stderr, "It is shown only now; the file has a hash of it.")
		}
		return err
	})
}

type tokenListCmd struct {
	JSON bool `name:"json" help:"Write JSON instead of a table."`
	tokenFlags
}

// Run lists tokens.
func (c *tokenListCmd) Run() error {
	file, err := c.file()
	if err != nil {
		return err
	}
	all, err := admin.Tokens(file)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	for _, t := range all {
		fmt.Printf("%-6s %s\n", t.Scope, t.Name)
	}
	return nil
}

type tokenRemoveCmd struct {
	Name string `arg:"" help:"Name of the token."`
	tokenFlags
	auditFlag
}

// Run removes a token.
func (c *tokenRemoveCmd) Run() error {
	return c.change(&c.auditFlag, "token.remove", c.Name, map[string]any{}, func(file string) error {
		err := admin.RemoveToken(file, c.Name)
		if err == nil {
			fmt.Printf("the token %s is removed\n", c.Name)
		}
		return err
	})
}
