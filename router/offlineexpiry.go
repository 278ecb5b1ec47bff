package router

import (
	"context"
	"time"
)

// The steps in which old messages are deleted: each is a transaction of a few milliseconds,
// and the time between two is for the callers' writes.
const (
	expiryStep  = 250 // messages
	expiryPause = 50 * time.Millisecond
)

// ExpireOffline deletes the messages that have been stored for OfflineDays, in steps, until
// none is left or ctx ends. It notifies no one: the senders got no error when the messages were
// stored, and one that comes months later would not help them. Nodes that share a store may
// call it at the same time: each message is deleted, and counted, once.
func (r *Router) ExpireOffline(ctx context.Context) error {
	for {
		cfg := r.config()
		if cfg.OfflineDays <= 0 {
			return nil
		}
		n, err := cfg.Store.ExpireOffline(ctx, time.Now().AddDate(0, 0, -cfg.OfflineDays), expiryStep)
		if err != nil || n == 0 {
			return err
		}
		r.expired.Add(int64(n))
		select {
		case <-time.After(expiryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
