package server

import (
	"reflect"
	"testing"

	"roost/poller"
)

// TestDefaultsOfPackages: WithDefaults applies the defaults of the packages, is
// idempotent, and keeps features that are turned off.
func TestDefaultsOfPackages(t *testing.T) {
	given := Config{Poller: poller.Config{MaxPerAddress: -1, Outbox: 64 << 10, AfterBatch: func(int) {}}}
	c := given.WithDefaults()
	again := c.WithDefaults()
	c.Poller.AfterBatch, again.Poller.AfterBatch = nil, nil // functions cannot be compared
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v, then %+v", c, again)
	}
	if c.Poller.MaxPerAddress >= 0 || c.Poller.MaxAttempts >= 0 {
		t.Errorf("what is turned off: %d connections, %d attempts", c.Poller.MaxPerAddress, c.Poller.MaxAttempts)
	}
	if c.Session.Workers == 0 || c.Router.MaxOffline == 0 || c.XEP.RegisterPerHour == 0 || c.Poller.IdleTimeout == 0 || c.Session.Limits.MaxStanza == 0 {
		t.Errorf("a package has no defaults: %+v", c)
	}
	if c.Router.PageBytes != 16<<10 || c.Poller.LargeWrite != largeResult {
		t.Errorf("with an outbox of 64 KiB, pages have %d bytes and one write %d", c.Router.PageBytes, c.Poller.LargeWrite)
	}
}
