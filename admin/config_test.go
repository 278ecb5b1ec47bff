package admin

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"roost/admin/api"
)

// TestConfig: the program's settings and its reload are passed on; mistakes are told one by
// one; nothing is told of another error.
func TestConfig(t *testing.T) {
	_, c := start(t, nil)
	wantError(t, c.Get(t.Context(), api.PathConfig, nil, nil), 503, api.CodeUnavailable, "no configuration")
	wantError(t, c.Do(t.Context(), http.MethodPost, api.PathReload, nil, nil, nil), 503, api.CodeUnavailable, "no configuration")

	var failure error
	_, c = start(t, func(cfg *Config, _ *Backend) {
		cfg.Settings = func() []api.Setting { return []api.Setting{{Name: "workers", Value: "8", Source: "default"}} }
		cfg.Reload = func(context.Context) (*api.Reload, error) {
			return &api.Reload{Changed: []api.Change{{Name: "linger", Old: "5s", New: "6s"}}}, failure
		}
	})
	var cfg api.Config
	if err := c.Get(t.Context(), api.PathConfig, nil, &cfg); err != nil || len(cfg.Settings) != 1 || cfg.Settings[0].Value != "8" {
		t.Errorf("%+v %v", cfg, err)
	}
	var done api.Reload
	if err := c.Do(t.Context(), http.MethodPost, api.PathReload, nil, nil, &done); err != nil || len(done.Changed) != 1 || done.Changed[0].New != "6s" {
		t.Errorf("%+v %v", done, err)
	}
	wantError(t, c.Do(t.Context(), http.MethodPost, api.PathReload, nil, map[string]string{"a": "b"}, nil), 400, api.CodeBadRequest, "has no body")
	wantError(t, c.Get(t.Context(), api.PathReload, nil, nil), 405, api.CodeMethod, "use POST")
	failure = &api.Error{Status: 422, Code: api.CodeBadConfig, Message: "nothing was reloaded", Details: []string{"a:1: one", "a:2: two"}}
	wantError(t, c.Do(t.Context(), http.MethodPost, api.PathReload, nil, nil, nil), 422, api.CodeBadConfig, "nothing was reloaded\na:1: one\na:2: two")
	failure = errors.New("secret")
	wantError(t, c.Do(t.Context(), http.MethodPost, api.PathReload, nil, nil, nil), 500, api.CodeInternal, "its log has the reason")
}
