package server

import (
	"context"
	"time"

	"roost/internal/job"
	"roost/router"
	"roost/session"
	"roost/store"
)

// A planned stop leaves the sessions that can be resumed in the store, and the next start
// takes them from there: see session.Manager.Suspend.

// suspend ends all sessions, or leaves them in the store. The error is that of ctx, or it says
// which sessions are lost.
func (s *Server) suspend(ctx context.Context) error {
	cfg := s.config()
	if cfg.SavedSessions < 0 || cfg.Session.ResumeTimeout < 0 {
		return s.sessions.Shutdown(ctx)
	}
	keep := session.Keep{Limit: cfg.SavedSessions, Time: s.saveTime(), Event: s.router.LastEvent, Before: s.router.BeforeSave, Each: s.node != nil, Write: s.saveSessions}
	done, err := s.sessions.Suspend(s.mayWait, ctx, keep)
	if done.Sessions > 0 {
		s.log.Info("sessions saved for the next start", "sessions", done.Sessions, "bytes", done.Bytes, "not_saved", done.Ended)
	}
	switch {
	case done.Ended > 0 && done.Left == 0:
		s.log.Error("some sessions could not be saved; they have ended, and their messages were handed on or stored", "sessions", done.Ended, "err", err)
		return nil
	case done.Ended > 0:
		s.log.Error("some sessions could neither be saved nor end in time; messages that their clients have not acknowledged may be lost", "sessions", done.Ended, "left", done.Left, "err", err)
	}
	return err
}

// saveSessions writes sessions to the store. In a cluster, they have the name of this node.
func (s *Server) saveSessions(ctx context.Context, units []session.SavedUnit) error {
	node := s.Node()
	all := make([]store.SavedSession, len(units))
	for i := range units {
		all[i] = store.SavedSession{Node: node, Key: units[i].Key, Until: units[i].Until, Data: units[i].Data}
	}
	return s.store.PutSessions(ctx, all)
}

// saveTime returns how long the sessions may take to be written, and, if that was not
// enough, how long the rest may take to end, when --drain-timeout is over. It is many times
// what writing takes if the disk is not slow.
func (s *Server) saveTime() time.Duration {
	return 5*time.Second + 50*time.Microsecond*time.Duration(s.sessions.Counts().Bound)
}

// StopTime returns how much longer than the end of its context Shutdown may take to leave
// sessions in the store.
func (s *Server) StopTime() time.Duration {
	if s.config().SavedSessions < 0 {
		return 0
	}
	return 2 * s.saveTime()
}

// StopNow makes Shutdown return soon: it cuts off the remaining clients, and leaves no more
// sessions in the store.
func (s *Server) StopNow() { s.stopWaiting() }

// unrestore puts the sessions back because the start has failed.
func (s *Server) unrestore() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return s.suspend(ctx)
}

// take makes sessions of what a node has left in the store.
func (s *Server) take(ctx context.Context, node string, r *session.Restored) error {
	for {
		blocks, err := s.store.TakeSessions(ctx, node, takeBytes)
		if err != nil || len(blocks) == 0 {
			return err
		}
		s.sessions.Restore(blocks, r, func() session.Conn { return s.poller.Vacant() })
	}
}

// takeBytes is how many bytes of saved sessions are read at once.
const takeBytes = 4 << 20

// restore takes the sessions of the last planned stop from the store. They are in the tables
// before the first client connects, so no one sees that they were away. Those that a server
// without a cluster has left belong to the first node that starts.
func (s *Server) restore(ctx context.Context) error {
	var r session.Restored
	for _, node := range []string{"", s.config().nodeName()} {
		if err := s.take(ctx, node, &r); err != nil {
			return err
		}
	}
	if r.Damaged > 0 {
		s.log.Error("saved sessions were damaged; those that could be read have ended, and their messages are handed on", "sessions", r.Damaged, "err", r.Err)
	}
	if r.Sessions == 0 {
		return nil
	}
	s.log.Info("sessions of the last run restored", "sessions", r.Sessions, "over", r.Over)
	if s.node != nil {
		s.node.Repeat(router.LostPresence) // they are in the directory no more, and have missed presence
	}
	// What has happened to their accounts since.
	return s.onWorker(ctx, func(t *session.Turn) error { return s.router.CatchUpFrom(t, r.Event) })
}

// Limits of endOverdue: how often it looks, how much it takes at once, and how many sessions
// then end in a second. Each may have many messages, and each of those is a write.
const (
	overdueEvery = time.Minute
	overdueBytes = 256 << 10
	overdueRate  = 500
)

// endOverdue ends the sessions that nodes have saved and nobody has taken, when their time is
// over: their node may never come back. It returns when ctx ends.
func (s *Server) endOverdue(ctx context.Context) {
	every(ctx, overdueEvery, func() {
		n, err := s.endAllOverdue(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.log.Warn("saved sessions whose time is over could not be ended; will retry", "err", err)
		}
		if n > 0 {
			s.log.Info("saved sessions that nobody has resumed have ended", "sessions", n)
		}
	})
}

// endAllOverdue ends the sessions whose time is over now, and returns their number.
func (s *Server) endAllOverdue(ctx context.Context, now time.Time) (total int, err error) {
	pace := job.NewPace(overdueRate, time.NewTicker)
	defer pace.Stop()
	for {
		n := 0
		err := s.onWorker(ctx, func(t *session.Turn) (err error) {
			n, err = s.router.EndOverdue(ctx, t, now, overdueBytes)
			return err
		})
		if total += n; n == 0 || err != nil {
			return total, err
		}
		for left := n; left > 0; {
			allowed := pace.Wait(ctx, left)
			if allowed == 0 {
				return total, ctx.Err()
			}
			left -= allowed
		}
	}
}
