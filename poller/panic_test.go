//go:build linux

package poller

import "testing"

// badRecord is a record layer that panics.
type badRecord struct{ record }

func (badRecord) seal([]byte) error { panic("in the record layer") }

// TestPanicInQueue: whoever recovers from the panics of a handler can tell those in a
// connection, which must stop the process.
func TestPanicInQueue(t *testing.T) {
	c := &Conn{loop: &loop{p: &Poller{}}, rec: badRecord{}}
	c.loop.p.cfg.setDefaults()
	defer func() {
		v := recover()
		if _, fatal := v.(interface{ Fatal() }); !fatal {
			t.Errorf("the panic was %v", v)
		}
	}()
	_ = c.Queue([]byte("x"))
	t.Error("no panic")
}
