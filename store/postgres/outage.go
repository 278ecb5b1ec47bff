package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// probeInterval is the pause between attempts to reach the database during an outage.
const probeInterval = 100 * time.Millisecond

// outage notes that the database could not be reached for all of RetryFor. Reads, and UpdateBlobs, fail at
// once from now on, until it replies: those who ask, such as what handles the stanzas of other nodes,
// have other work that does not need the database.
func (s *Store) outage() {
	s.writeMu.RLock() // Close waits for what was started before
	defer s.writeMu.RUnlock()
	if s.alive.Err() != nil || !s.away.CompareAndSwap(false, true) {
		return
	}
	s.probes.Go(func() {
		tick := time.NewTicker(probeInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.alive.Done():
				return
			}
			if s.withConn(s.alive, func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) }) == nil {
				s.away.Store(false)
				return
			}
		}
	})
}
