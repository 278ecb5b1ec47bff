package admin

import (
	"net/http"

	"roost/admin/api"
)

var configRoutes = []route{
	{id: "config.show", method: http.MethodGet, path: api.PathConfig, scope: ScopeRead, response: api.Config{}, handle: (*Server).showConfig,
		summary: "The configuration that is in use: each setting, its value, where it comes from, and whether it can change without a restart."},
	{id: "config.reload", method: http.MethodPost, path: api.PathReload, scope: ScopeWrite, response: api.Reload{}, handle: (*Server).reload,
		summary: "Read the configuration file and the certificates again, and apply them as a whole or, if there is a mistake, not at all. No client is disconnected, except those of domains that are removed."},
}

// showConfig returns the settings.
func (s *Server) showConfig(*request) (any, error) {
	if s.cfg.Settings == nil {
		return nil, errNoConfig
	}
	return api.Config{Settings: s.cfg.Settings()}, nil
}

// reload has the program reload its configuration. Once it has begun it is completed, even if
// the client goes away.
func (s *Server) reload(r *request) (any, error) {
	if s.cfg.Reload == nil {
		return nil, errNoConfig
	}
	s.b.Logger.Info("reloading the configuration", "actor", r.actor)
	done, err := s.cfg.Reload(r.Context())
	if err != nil {
		return nil, err
	}
	return *done, nil
}

var errNoConfig = &api.Error{Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Message: "this server has no configuration that it could read"}
