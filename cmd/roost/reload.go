package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"roost/admin/api"
	"roost/internal/loglevel"
	"roost/server"
)

// reloadTimeout limits how long a reload waits for the event loops to use what is new.
const reloadTimeout = 10 * time.Second

// reloader reads the configuration of a running server again.
type reloader struct {
	log         *slog.Logger
	level       *loglevel.Level
	memoryLimit int64 // without --memory-limit, in bytes

	mu      sync.Mutex
	running *launch // its flags have the values in use
	server  *server.Server
	manager *systemd
	stopped bool
}

// newReloader returns the reloader of a server that is started with these flags.
func newReloader(c *serveCmd, out *output) *reloader {
	r := &reloader{log: out.log, level: &out.level, memoryLimit: c.memoryLimit}
	if l, wrong := readLaunch(c.args); len(wrong) == 0 {
		l.serve = c // with what was found out about credentials
		r.running = l
	}
	return r
}

// start says that the server runs.
func (r *reloader) start(s *server.Server, manager *systemd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server, r.manager = s, manager
}

// stop ends reloading and returns the time for a clean shutdown.
func (r *reloader) stop() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	return r.running.serve.DrainTimeout
}

// reload reads the command line, the environment, the config file and the certificates again,
// and applies them as a whole or, if there is a mistake, not at all. It logs the result.
func (r *reloader) reload(ctx context.Context) (*api.Reload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil || r.stopped {
		return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Message: "the server is starting or stopping"}
	}
	defer r.manager.reloading()()
	if err := r.server.ReopenAudit(); err != nil {
		r.log.Error("cannot open the audit log again; the old file stays in use", "err", err)
	}
	next, wrong := readLaunch(r.running.serve.args)
	if len(wrong) == 0 {
		var cfg server.Config
		if cfg, _, wrong = next.check(); len(wrong) == 0 { // the server logs the warnings
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout)
			defer cancel()
			wrong = next.located(next.serve.mistakesIn(r.server.Reload(ctx, cfg)))
		}
	}
	if len(wrong) > 0 {
		for _, text := range wrong {
			r.log.Error("the configuration has a mistake and was not reloaded; the previous one stays in use", "err", text)
		}
		return nil, &api.Error{Status: http.StatusUnprocessableEntity, Code: api.CodeBadConfig, Message: "nothing was reloaded: the configuration has mistakes", Details: wrong}
	}
	return r.take(next), nil
}

// take makes the settings of next those in use, and returns what has changed.
func (r *reloader) take(next *launch) *api.Reload {
	done := &api.Reload{Changed: []api.Change{}, NeedRestart: []api.Change{}}
	was := r.running.serve.settings()
	for i, s := range next.serve.settings() {
		before, after := was[i].text(), s.text()
		if !s.isSetting() || before == after {
			continue
		}
		isHot, note := s.change()
		c := api.Change{Name: s.flag, Old: before, New: after, Note: note}
		if isHot {
			done.Changed = append(done.Changed, c)
			r.log.Info("setting changed", "setting", c.Name, "old", c.Old, "new", c.New)
			continue
		}
		done.NeedRestart = append(done.NeedRestart, c)
		r.log.Warn("setting not changed: it needs a restart", "setting", c.Name, "old", c.Old, "new", c.New, "note", c.Note)
		s.value.Set(was[i].value)
	}
	next.serve.args, next.serve.memoryLimit = r.running.serve.args, r.memoryLimit
	r.level.Set(next.serve.LogLevel)
	next.serve.limitMemory()
	r.running = next
	r.log.Info("configuration and certificates reloaded", "changed", len(done.Changed), "need_restart", len(done.NeedRestart))
	return done
}

// settings are the settings in use.
func (r *reloader) settings() []api.Setting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running.settings()
}

func (l *launch) settings() (all []api.Setting) {
	for _, s := range l.serve.settings() {
		if !s.isSetting() {
			continue
		}
		isHot, note := s.change()
		all = append(all, api.Setting{Name: s.flag, Value: s.text(), Source: l.source(s.flag), Hot: isHot, Note: note})
	}
	return all
}

// limitMemory sets the memory limit, or the one that the process has had at its start.
func (c *serveCmd) limitMemory() {
	limit := c.memoryLimit
	if c.MemoryLimit > 0 {
		limit = int64(c.MemoryLimit)
	}
	debug.SetMemoryLimit(limit)
}

// reloadCmd makes the server reload.
type reloadCmd struct {
	adminFlags
}

// Help is shown by kong.
func (c *reloadCmd) Help() string {
	return "The server reads its config file and its certificates again; flags on its command line and its environment stay as they are. If there is a mistake, nothing changes, and the exit status is 1. " +
		"No client is disconnected, except those that the new settings exclude: by a domain that is removed, a block file, or a shorter time limit. Settings that need a restart are listed. To look for mistakes before, use: roost config check"
}

// Run asks the server.
func (c *reloadCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var done api.Reload
		if err := client.Do(ctx, http.MethodPost, api.PathReload, nil, nil, &done); err != nil {
			return err
		}
		return c.print(os.Stdout, done, func(w io.Writer) { writeReload(w, &done) })
	})
}

// writeReload writes what a reload has changed, for people.
func writeReload(to io.Writer, done *api.Reload) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	defer w.Flush()
	if len(done.Changed)+len(done.NeedRestart) == 0 {
		fmt.Fprintln(w, "No setting has changed. The certificates were read again.")
		return
	}
	fmt.Fprintln(w, "SETTING\tOLD\tNEW\t")
	for _, c := range slices.Concat(done.Changed, done.NeedRestart) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Name, shown(c.Old), shown(c.New), c.Note)
	}
	if n := len(done.NeedRestart); n > 0 {
		fmt.Fprintf(w, "%d of them need a restart; until then the old value is in use: %s\n", n, names(done.NeedRestart))
	}
}

func names(changes []api.Change) (text string) {
	for i, c := range changes {
		if i > 0 {
			text += ", "
		}
		text += c.Name
	}
	return text
}

// shown is a value in a table.
func shown(value string) string {
	if value == "" {
		return "-"
	}
	return printable(value)
}
