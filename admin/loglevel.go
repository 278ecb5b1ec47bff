package admin

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/loglevel"
)

var logLevelRoutes = []route{
	{id: "log.level", method: http.MethodGet, path: api.PathLogLevel, scope: ScopeRead, response: api.LogLevel{}, handle: (*Server).logLevel,
		summary: "The level of the log, and until when it differs from the configured one."},
	{id: "log.level.change", method: http.MethodPut, path: api.PathLogLevel, scope: ScopeWrite, response: api.LogLevel{}, handle: (*Server).changeLogLevel,
		body:    func() any { return new(api.LogLevelChange) },
		summary: "Changes the level of the log for a limited time. It replaces an earlier change."},
}

// Times for which the level of the log may be changed.
const (
	defaultLogLevelTime = 10 * time.Minute
	maxLogLevelTime     = 24 * time.Hour
)

func (s *Server) logLevel(*request) (any, error) {
	if s.cfg.LogLevel == nil {
		return nil, errNoLogLevel
	}
	return logLevelResponse(s.cfg.LogLevel.State()), nil
}

var errNoLogLevel = &api.Error{Status: 503, Code: api.CodeUnavailable, Message: "the level of this server's log cannot be changed", Hint: "roost serve can; this is another program"}

func (s *Server) changeLogLevel(r *request) (any, error) {
	if s.cfg.LogLevel == nil {
		return nil, errNoLogLevel
	}
	change := r.body.(*api.LogLevelChange)
	level, ok := logLevels[change.Level]
	if !ok {
		return nil, badField("level", "use debug, info, warn or error", "%q is not a level", change.Level)
	}
	d := time.Duration(change.Seconds * float64(time.Second))
	switch {
	case change.Seconds == 0:
		d = defaultLogLevelTime
	case !(change.Seconds > 0 && change.Seconds <= maxLogLevelTime.Seconds()):
		return nil, badField("seconds", "leave it out for 600", "seconds must be above 0 and at most %s", secondsText(maxLogLevelTime))
	}
	state := s.cfg.LogLevel.Change(level, d, func() {
		s.b.Logger.Info("the level of the log is the configured one again")
	})
	s.b.Logger.Info("the level of the log was changed", "actor", r.actor, "log_level", levelName(level), "until", state.Until.UTC())
	return logLevelResponse(state), nil
}

// logLevels are the levels by name.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

func logLevelResponse(s loglevel.State) api.LogLevel {
	l := api.LogLevel{Level: levelName(s.Level), Configured: levelName(s.Configured)}
	if !s.Until.IsZero() {
		until := s.Until.UTC()
		l.Until = &until
	}
	return l
}
