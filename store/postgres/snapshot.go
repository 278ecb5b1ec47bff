package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"roost/store"
)

var _ store.Snapshotter = location{}

// DumpName is the name of a database in a backup: the format of pg_dump that pg_restore
// reads.
const DumpName = "roost.dump"

// SnapshotName implements store.Snapshotter.
func (location) SnapshotName() string { return DumpName }

// Snapshot implements store.Snapshotter. pg_dump does the work; a dump has the database at
// one moment.
func (l location) Snapshot(ctx context.Context, file string, report func(done, total int64)) (store.SnapshotInfo, error) {
	info, err := l.snapshot(ctx, file, report)
	if err != nil {
		err = fmt.Errorf("postgres: dump %s: %w", redact(l.url), err)
	}
	return info, err
}

func (l location) snapshot(ctx context.Context, file string, report func(done, total int64)) (info store.SnapshotInfo, err error) {
	i, err := l.inspect(ctx)
	if err != nil {
		return info, err
	}
	if i.Version == 0 {
		return info, errors.New("the database has no tables of roost")
	}
	args, env, err := l.forPrograms()
	if err != nil {
		return info, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return info, err
	}
	dump := program(ctx, "pg_dump", append(args, "--format=custom", "--no-owner", "--no-privileges")...)
	dump.Env = append(os.Environ(), env...)
	dump.Stdout = &counted{f, 0, report}
	if err := errors.Join(run(ctx, dump), f.Close()); err != nil {
		return info, err
	}
	if err := run(ctx, program(ctx, "pg_restore", "--list", file)); err != nil {
		return info, err
	}
	return store.SnapshotInfo{Version: i.Version, Accounts: i.Accounts}, nil
}

// forPrograms returns the arguments and the environment for a program of PostgreSQL: it knows
// fewer parameters than pgx does, and other users can read its arguments.
func (l location) forPrograms() (args, env []string, err error) {
	pc, err := parseURL(l.url)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(l.url)
	if err != nil {
		return nil, nil, errURL
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	settings := pc.ConnConfig.RuntimeParams // of the database
	for name := range q {
		if _, ok := settings[name]; ok || name == "password" || strings.HasPrefix(name, "pool_") {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	args = []string{"--dbname=" + u.String()}
	if schema, _, _ := strings.Cut(settings["search_path"], ","); schema != "" {
		args = append(args, "--schema="+strings.TrimSpace(schema))
	}
	return args, []string{"PGPASSWORD=" + pc.ConnConfig.Password, "PGAPPNAME=roost"}, nil
}

// program returns a command that is stopped in an orderly way when ctx ends.
func program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

// run runs a program. The error has the first line of what it says.
func run(ctx context.Context, cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: install PostgreSQL's client programs, of the version of the server or a newer one", err)
	case err != nil:
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%w: %s", err, first)
	}
	return nil
}

// counted reports how much was written.
type counted struct {
	io.Writer
	done   int64
	report func(done, total int64)
}

// Write implements io.Writer.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.done += int64(n)
	c.report(c.done, 0)
	return n, err
}
