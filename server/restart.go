package server

import (
	"context"
	"errors"

	"roost/poller"
	"roost/session"
)

// A planned stop leaves the sessions that can be resumed in the store, and the next start
// takes them from there: see session.Manager.Suspend.

// suspend ends all sessions, or leaves them in the store. The error is that of ctx.
func (s *Server) suspend(ctx context.Context) error {
	cfg := s.config()
	if cfg.SavedSessions < 0 || cfg.Session.ResumeTimeout < 0 {
		return s.sessions.Shutdown(ctx)
	}
	done, err := s.sessions.Suspend(ctx, session.Keep{Limit: cfg.SavedSessions, Event: s.router.LastEvent, Write: s.store.PutSessions})
	if done.Sessions > 0 {
		s.log.Info("sessions saved for the next start", "sessions", done.Sessions, "bytes", done.Bytes)
	}
	if err == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	s.log.Error("sessions could not be saved; they have ended, and their messages were handed on or stored", "sessions", done.Ended, "err", err)
	return nil
}

// unrestore puts the sessions back because the start has failed.
func (s *Server) unrestore() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return s.suspend(ctx)
}

// takeBytes is how many bytes of saved sessions are read at once.
const takeBytes = 4 << 20

// restore takes the sessions of the last planned stop from the store. They are in the tables
// before the first client connects, so no one sees that they were away.
func (s *Server) restore(ctx context.Context) error {
	var r session.Restored
	for {
		units, err := s.store.TakeSessions(ctx, takeBytes)
		if err != nil {
			return err
		}
		if len(units) == 0 {
			break
		}
		s.sessions.Restore(units, &r, func(accept func(session.Conn) *session.Session) {
			s.poller.Unplugged(func(c *poller.Conn) poller.Handler {
				if x := accept(c); x != nil {
					return x
				}
				return nil
			})
		})
	}
	if r.Damaged > 0 {
		s.log.Error("saved sessions were damaged; those that could be read have ended, and their messages are handed on", "sessions", r.Damaged, "err", r.Err)
	}
	if r.Sessions == 0 {
		return nil
	}
	s.log.Info("sessions of the last run restored", "sessions", r.Sessions, "over", r.Over)
	// What has happened to their accounts since.
	return s.onWorker(ctx, func(t *session.Turn) error { return s.router.CatchUpFrom(t, r.Event) })
}
