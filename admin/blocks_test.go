package admin

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"roost/admin/api"
	"roost/blocks"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestBlockStoreFails: a block that the store does not keep is an error, and not in force;
// one that it does not delete stays in force.
func TestBlockStoreFails(t *testing.T) {
	faults := new(faultstore.Faults)
	st, err := memstore.New().Open(t.Context(), faults.Options())
	if err != nil {
		t.Fatal(err)
	}
	list, err := blocks.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	_, c := start(t, func(_ *Config, b *Backend) { b.Blocks = list })
	post := func(target string) error {
		return c.Do(t.Context(), http.MethodPost, api.PathBlocks, nil, api.BlockRequest{Target: target}, nil)
	}
	if err := post("192.0.2.0/24"); err != nil {
		t.Fatal(err)
	}
	faults.SetFault(func(string) error { return errors.New("the disk is gone") })
	wantError(t, post("198.51.100.0/24"), 500, api.CodeInternal, "its log has the reason")
	wantError(t, c.Do(t.Context(), http.MethodDelete, "/v1/blocks/192.0.2.0%2F24", nil, nil, nil), 500, api.CodeInternal, "its log has the reason")
	for addr, want := range map[string]bool{"192.0.2.1": true, "198.51.100.1": false} {
		if _, found := list.Network(netip.MustParseAddr(addr)); found != want {
			t.Errorf("%s: %v", addr, found)
		}
	}
}
