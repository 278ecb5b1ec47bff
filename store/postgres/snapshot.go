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
	args, env, secret, err := l.forPrograms()
	if err != nil {
		return info, err
	}
	if secret != nil {
		defer secret.Close()
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return info, err
	}
	dump := program(ctx, "pg_dump", append(args, "--format=custom", "--no-owner", "--no-privileges")...)
	dump.Env = append(os.Environ(), env...)
	if secret != nil {
		dump.ExtraFiles, dump.Env = []*os.File{secret}, append(dump.Env, "PGSERVICEFILE=/dev/fd/3")
	}
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
// fewer parameters than pgx does, and other users can read its arguments. If secret is not nil, it
// is the service file that the program has to read.
func (l location) forPrograms() (args, env []string, secret *os.File, err error) {
	pc, err := parseURL(l.url)
	if err != nil {
		return nil, nil, nil, err
	}
	u, err := url.Parse(l.url)
	if err != nil {
		return nil, nil, nil, errURL
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
	if secret, err = takeSSLPassword(q); err != nil {
		return nil, nil, nil, err
	}
	u.RawQuery = q.Encode()
	args = []string{"--dbname=" + u.String()}
	if schema, _, _ := strings.Cut(settings["search_path"], ","); schema != "" {
		args = append(args, "--schema="+strings.TrimSpace(schema))
	}
	return args, []string{"PGPASSWORD=" + pc.ConnConfig.Password, "PGAPPNAME=roost"}, secret, nil
}

// service is the only service in a file of serviceFile.
const service = "roost"

// takeSSLPassword replaces the password of the client's key in the parameters of a URL by a service, and
// returns the service file that has the password: unlike the password of the database, libpq does not read
// this one from the environment. It returns nil if there is none.
func takeSSLPassword(q url.Values) (*os.File, error) {
	if !q.Has("sslpassword") {
		return nil, nil
	}
	if q.Has("service") || os.Getenv("PGSERVICE") != "" {
		return nil, errors.New("the URL has sslpassword, but there is a service, too: write sslpassword into the service file instead")
	}
	f, err := serviceFile(q.Get("sslpassword"))
	if err == nil {
		q.Del("sslpassword")
		q.Set("service", service)
	}
	return f, err
}

// serviceFile returns a service file of libpq that has the password of a client's key. The file has no name,
// so that nothing is left of it.
func serviceFile(sslpassword string) (*os.File, error) {
	if strings.TrimSpace(sslpassword) != sslpassword || strings.ContainsAny(sslpassword, "\r\n") {
		return nil, errors.New("sslpassword begins or ends with a space or contains a line break, which pg_dump does not accept: use a key with another password")
	}
	f, err := os.CreateTemp("", "roost-service-")
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "[%s]\nsslpassword=%s\n", service, sslpassword)
	if err := errors.Join(os.Remove(f.Name()), err); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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
