package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

// A server holds an advisory lock as long as it uses the database: a server without a
// cluster exclusively, the nodes of a cluster shared. The writer's connection holds it, so
// the database releases it when the server ends or can no longer be reached. If the
// connection is lost, the next one takes the lock again; if another server was faster, writes
// fail until that one has stopped.

const (
	// The database notices that a server's machine has died in 15 + 3 * 5 seconds.
	claimBegin = `SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false),
		(SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()), `
	claimKey       = `(` + serverLock + `, hashtext(coalesce(current_schema(), '')))`
	sqlClaim       = claimBegin + `pg_try_advisory_lock` + claimKey
	sqlClaimShared = claimBegin + `pg_try_advisory_lock_shared` + claimKey

	sqlHolders = `SELECT l.pid, coalesce(a.backend_start::text, ''), coalesce(host(a.client_addr), ''), l.mode = 'ShareLock'
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid() AND l.objsubid = 2
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.classid = ` + serverLock + `::oid AND l.objid = hashtext(coalesce(current_schema(), ''))::oid
		ORDER BY l.pid`
	sqlTerminate = `SELECT pg_terminate_backend($1)`
)

// backend identifies a connection in the database.
type backend struct {
	pid   uint32
	start string // when it began
}

// claim takes the lock with a connection of the writer. It waits for up to ClaimWait, unless
// another server is known to have the lock: that a server was killed may be noticed late. A
// connection of this store that was lost is ended.
func (s *Store) claim(ctx context.Context, c *pgx.Conn) error {
	if s.cfg.Options.Use == store.Beside {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+s.cfg.ClaimWait)
	defer cancel()
	end := time.Now().Add(s.cfg.ClaimWait)
	if s.usurped.Load() != nil {
		end = time.Time{}
	}
	sql := sqlClaim
	if s.cfg.Options.Use == store.Shared {
		sql = sqlClaimShared
	}
	for {
		me := backend{pid: c.PgConn().PID()}
		taken := false
		if err := c.QueryRow(ctx, sql).Scan(nil, nil, nil, &me.start, &taken); err != nil {
			return err
		}
		if taken {
			s.former = me
			s.usurped.Store(nil)
			return nil
		}
		others, err := s.holders(ctx, c)
		if err != nil {
			return err
		}
		if others != "" && time.Now().After(end) {
			err := &inUseError{by: others}
			s.usurped.Store(err)
			return err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// holders describes the other servers that have the lock.
func (s *Store) holders(ctx context.Context, c *pgx.Conn) (others string, err error) {
	rows, err := c.Query(ctx, sqlHolders)
	if err != nil {
		return "", err
	}
	var own bool
	var list []string
	err = each(rows, func(rows pgx.Rows) error {
		var b backend
		var host string
		var shared bool
		err := rows.Scan(&b.pid, &b.start, &host, &shared)
		if b == s.former {
			own = true
			return err
		}
		text := "a server without --cluster"
		if shared {
			text = "a node of a cluster"
		}
		if host != "" {
			text += " at " + host
		}
		list = append(list, text)
		return err
	})
	if err == nil && own {
		_, err = c.Exec(ctx, sqlTerminate, s.former.pid)
	}
	return strings.Join(list, ", "), err
}

// inUseError means that another server has the lock.
type inUseError struct{ by string }

// Error returns a text that says what to do.
func (e *inUseError) Error() string {
	return fmt.Sprintf("the database is in use by %s: stop it, or give all servers that share this database --cluster and --node", e.by)
}

// Unwrap returns store.ErrInUse.
func (e *inUseError) Unwrap() error { return store.ErrInUse }

// keepClaim looks for a lost connection of the writer while there is nothing to write:
// another server might start meanwhile.
func (w *writer) keepClaim() {
	if w.c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), w.s.cfg.Timeout)
		defer cancel()
		if err := w.c.Ping(ctx); err == nil {
			return
		}
		w.disconnect()
	}
	// To connect and to wait for the lock have time limits of their own. The next write or the next
	// interval tries again.
	_ = w.connect(context.Background())
}
