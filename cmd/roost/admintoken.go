package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"roost/admin"
	"roost/internal/cli"
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
		return "", cli.UsageError(fmt.Sprintf("there is no data directory %s: name the server's with --data", f.Data))
	}
	return filepath.Join(f.Data, admin.TokensName), nil
}

type tokenAddCmd struct {
	Name  string `arg:"" help:"Name of the token, such as its user or program; the audit log shows it."`
	Scope string `required:"" env:"ROOST_TOKEN_SCOPE" enum:"read,write" placeholder:"SCOPE" help:"What the token allows: read (changes nothing) or write (everything)."`
	tokenFlags
	auditFlag
}

// Run makes a token.
func (c *tokenAddCmd) Run() error {
	file, err := c.file()
	if err != nil {
		return err
	}
	audit, err := c.open()
	if err != nil {
		return err
	}
	secret, err := admin.AddToken(file, c.Name, admin.Scope(c.Scope))
	auditCommand(audit, "roost admin", "token.add", c.Name, map[string]any{"scope": c.Scope, "file": file}, err)
	if err == nil {
		fmt.Println(secret)
		fmt.Fprintln(os.Stderr, "It is shown only now; the file has a hash of it.")
	}
	return errors.Join(err, audit.Close())
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
	file, err := c.file()
	if err != nil {
		return err
	}
	audit, err := c.open()
	if err != nil {
		return err
	}
	err = admin.RemoveToken(file, c.Name)
	auditCommand(audit, "roost admin", "token.remove", c.Name, map[string]any{"file": file}, err)
	if err == nil {
		fmt.Printf("the token %s is removed\n", c.Name)
	}
	return errors.Join(err, audit.Close())
}
