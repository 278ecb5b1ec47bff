package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"roost/admin/api"
	"roost/internal/cli"
)

// adminFlags are for commands that ask the running server.
type adminFlags struct {
	Data string `default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Data directory of the server, in which it has its Unix socket (default: ${default})."`
	remoteFlags
	JSON bool `name:"json" help:"Write the JSON that the server sends, instead of a table."`
}

// remoteFlags name a server that is reached by TCP.
type remoteFlags struct {
	URL       string `name:"admin-url" env:"ROOST_ADMIN_URL" placeholder:"URL" help:"Use the server at this URL instead, such as https://192.0.2.1:5280; needs --admin-token-file."`
	TokenFile string `name:"admin-token-file" env:"ROOST_ADMIN_TOKEN_FILE" type:"path" placeholder:"FILE" help:"File with the token for --admin-url."`
}

// errNoServer says that no server runs, where that is known.
type errNoServer string

func (e errNoServer) Error() string { return string(e) }

// ask calls f with a client of the server, and a context that ends when the command is
// interrupted.
func (c *adminFlags) ask(f func(context.Context, *api.Client) error) error {
	ctx, stop := cli.Interrupted()
	defer stop()
	client, err := c.client(c.Data)
	if err != nil {
		return err
	}
	defer client.Close()
	return c.explain(c.Data, f(ctx, client))
}

// suggest returns a command line for the same server.
func (c *adminFlags) suggest(args ...string) string {
	if c.URL == "" {
		return suggest(c.Data, args...)
	}
	return program().Suggest(append(args, "--admin-url", c.URL, "--admin-token-file", c.TokenFile)...)
}

// client returns a client of the server at the URL, or else of that of the data directory.
func (c *remoteFlags) client(data string) (*api.Client, error) {
	if c.URL == "" {
		return api.Local(filepath.Join(data, api.SocketName)), nil
	}
	if c.TokenFile == "" {
		return nil, cli.UsageError("--admin-url needs --admin-token-file")
	}
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, cli.UsageError("--admin-token-file: " + err.Error())
	}
	client, err := api.Remote(c.URL, strings.TrimSpace(string(token)), nil)
	if err != nil {
		return nil, cli.UsageError("--admin-url: " + err.Error())
	}
	return client, nil
}

// explain says what an error of a request means to somebody who uses commands.
func (c *remoteFlags) explain(data string, err error) error {
	switch {
	case err == nil || c.URL != "":
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNoServer(fmt.Sprintf("no server runs on the data directory %s: name the server's with --data", data))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("only root and the server's user may connect to the server of %s", data)
	}
	return err
}

// print writes v as JSON, or calls table.
func (c *adminFlags) print(w io.Writer, v any, table func(io.Writer)) error {
	if c.JSON {
		return writeJSON(w, v)
	}
	table(w)
	return nil
}

// writeJSON writes a value for programs, legibly.
func writeJSON(w io.Writer, v any) error {
	e := jsonLines(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonLines returns an encoder that writes each value on a line.
func jsonLines(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// maxPage is the largest page of a list.
const maxPage = 1000

// eachPage requests a list page by page, and calls f with each. f returns the cursor of the
// next page, or "" to end.
func eachPage[T any](ctx context.Context, client *api.Client, path string, q url.Values, f func(*T) (next string, err error)) error {
	for {
		var p T
		if err := client.Get(ctx, path, q, &p); err != nil {
			return err
		}
		next, err := f(&p)
		if err != nil || next == "" {
			return err
		}
		q.Set("cursor", next)
	}
}

// listPages writes the rows of a list, page by page: as a table with a header or, with --json, as
// JSON objects on lines of their own. rows returns those of a page, and the cursor of the next one.
func listPages[P, R any](c *adminFlags, path, header string, rows func(*P) (all []R, next string), row func(*R) string) error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(w, header)
		}
		q := url.Values{"limit": {strconv.Itoa(maxPage)}}
		err := eachPage(ctx, client, path, q, func(p *P) (string, error) {
			all, next := rows(p)
			for i := range all {
				var err error
				if c.JSON {
					err = jsonLines(os.Stdout).Encode(&all[i])
				} else {
					_, err = fmt.Fprintln(w, row(&all[i]))
				}
				if err != nil {
					return "", err
				}
			}
			return next, nil
		})
		return errors.Join(err, w.Flush())
	})
}
