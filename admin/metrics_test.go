package admin

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"roost/admin/api"
)

// TestMetricsAccess: metrics need a token that may read, and have no parameters.
func TestMetricsAccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokensName)
	token := addToken(t, file, "prometheus", ScopeRead)
	client := remote(t, file, nil)
	wantError(t, client("").Get(t.Context(), api.PathMetrics, nil, nil), 401, api.CodeUnauthorized, "no token")
	wantError(t, client("roost_wrong").Get(t.Context(), api.PathMetrics, nil, nil), 401, api.CodeUnauthorized, "unknown")
	c := client(token)
	wantError(t, c.Get(t.Context(), api.PathMetrics, map[string][]string{"name": {"x"}}, nil), 400, api.CodeBadRequest, "no parameter")
	wantError(t, c.Do(t.Context(), http.MethodPost, api.PathMetrics, nil, nil, nil), 405, api.CodeMethod, "use GET")
	var text []byte
	if err := c.Get(t.Context(), api.PathMetrics, nil, &text); err != nil || !strings.Contains(string(text), "\nroost_ready 1\n") {
		t.Errorf("%s %v", text, err)
	}
}
