package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/dustin/go-humanize"
)

// statusInterval is how often the status shown by systemctl status may change.
const statusInterval = 5 * time.Second

// stopSlack is what a stop may take in addition to --drain-timeout: clients take their
// last bytes, and the store is written and closed.
const stopSlack = 20 * time.Second

// systemd tells the service manager how the server is (sd_notify(3),
// https://www.freedesktop.org/software/systemd/man/sd_notify.html). A nil *systemd does
// nothing: the server was not started by systemd, or not with Type=notify.
type systemd struct {
	log      *slog.Logger
	notify   func(state string) error
	watchdog time.Duration // a message is due within this time; 0: none is

	failed atomic.Bool // a message could not be sent; that is logged once

	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// health is what the service manager is told about.
type health interface {
	Online() int
	CheckLoops(context.Context) error
}

// newSystemd returns nil if there is no service manager to notify.
func newSystemd(log *slog.Logger) *systemd {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog cannot be used", "err", err)
	}
	return &systemd{log: log, watchdog: watchdog, notify: func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}}
}

// send sends a message.
func (d *systemd) send(state string) {
	if err := d.notify(state); err != nil && !d.failed.Swap(true) {
		d.log.Warn("systemd could not be notified", "err", err)
	}
}

// ready says that the server serves, and begins to report its status and to feed the
// watchdog.
func (d *systemd) ready(h health) {
	if d == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	status := onlineText(h)
	d.send(daemon.SdNotifyReady + "\nSTATUS=" + status)
	d.stopped.Go(func() { d.reportStatus(ctx, h, status) })
	if d.watchdog > 0 {
		d.stopped.Go(func() { d.feedWatchdog(ctx, h) })
	}
}

func onlineText(h health) string { return humanize.Comma(int64(h.Online())) + " online" }

// reportStatus sends the number of clients when it has changed.
func (d *systemd) reportStatus(ctx context.Context, h health, last string) {
	each(ctx, statusInterval, func() {
		if now := onlineText(h); now != last {
			last = now
			d.send("STATUS=" + now)
		}
	})
}

// feedWatchdog tells the watchdog, twice in the time that it allows, that every event
// loop has turned since. A loop that hangs makes systemd restart the server.
func (d *systemd) feedWatchdog(ctx context.Context, h health) {
	interval := d.watchdog / 2
	each(ctx, interval, func() {
		limited, cancel := context.WithTimeout(ctx, interval)
		defer cancel()
		if err := h.CheckLoops(limited); err == nil {
			d.send(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			d.log.Error("systemd's watchdog is not fed", "err", err)
		}
	})
}

// each calls f at an interval until ctx ends.
func each(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// reloading says that the configuration is being reloaded; the result says that this is
// done.
func (d *systemd) reloading() (done func()) {
	if d == nil {
		return func() {}
	}
	d.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	return func() { d.send(daemon.SdNotifyReady) }
}

// stopping says that the server stops, and how long that may take. There are no reports
// afterwards.
func (d *systemd) stopping(atMost time.Duration) {
	if d == nil {
		return
	}
	d.cancel()
	d.stopped.Wait()
	d.extend(atMost, daemon.SdNotifyStopping, "STATUS=stopping")
}

// extend asks for more time than the unit allows for the present state.
func (d *systemd) extend(by time.Duration, states ...string) {
	message := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds())
	for _, s := range states {
		message = s + "\n" + message
	}
	d.send(message)
}
