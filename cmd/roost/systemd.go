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

	"roost/admin/api"
)

// statusInterval is the minimum time between two updates of the status that systemctl
// status shows.
const statusInterval = 5 * time.Second

// stopSlack is the time that a stop may take in addition to --drain-timeout, for the last
// writes to clients and to the store.
const stopSlack = 20 * time.Second

// systemd reports the server's state to the service manager (sd_notify(3),
// https://www.freedesktop.org/software/systemd/man/sd_notify.html). All methods of a nil
// *systemd do nothing: the server was not started by systemd, or not with Type=notify.
type systemd struct {
	log      *slog.Logger
	notify   func(state string) error
	watchdog time.Duration // systemd expects a message at least this often; 0: no watchdog

	failed atomic.Bool // sending a message has failed; logged once

	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// health provides the state to report.
type health interface {
	Online() int
	DrainStatus() (api.Drain, bool)
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

// ready reports that the server is ready, and starts to report its status and to notify
// the watchdog.
func (d *systemd) ready(h health) {
	if d == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	status := statusText(h)
	d.send(daemon.SdNotifyReady + "\nSTATUS=" + status)
	d.stopped.Go(func() { d.reportStatus(ctx, h, status) })
	if d.watchdog > 0 {
		d.stopped.Go(func() { d.feedWatchdog(ctx, h) })
	}
}

// statusText says how many clients are online, and what a drain does about that.
func statusText(h health) string {
	online := humanize.Comma(int64(h.Online())) + " online"
	switch drain, _ := h.DrainStatus(); drain.State {
	case api.DrainScheduled:
		return online + ", drain at " + drain.Begin.Format(time.RFC3339)
	case api.DrainRunning, api.DrainDone:
		return fmt.Sprintf("%s: %s of %s clients have left", drain.State, humanize.Comma(drain.Ended), humanize.Comma(drain.Clients))
	}
	return online
}

// reportStatus sends the status when it has changed, and asks for the time of a drain.
func (d *systemd) reportStatus(ctx context.Context, h health, last string) {
	var asked time.Time // the beginning of the drain for which time was asked for
	each(ctx, statusInterval, func() {
		if drain, _ := h.DrainStatus(); drain.State == api.DrainRunning && !drain.Begin.Equal(asked) {
			// systemd limits the time of ExecStop=, which may be a drain, and RuntimeMaxSec=.
			asked = drain.Begin
			d.extend(time.Duration(drain.OverSeconds*float64(time.Second)) + stopSlack)
		}
		if now := statusText(h); now != last {
			last = now
			d.send("STATUS=" + now)
		}
	})
}

// feedWatchdog notifies the watchdog at half its interval, provided that every event loop
// has run since. If a loop hangs, systemd restarts the server.
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

// reloading reports that a reload has started; the result reports its end.
func (d *systemd) reloading() (done func()) {
	if d == nil {
		return func() {}
	}
	d.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	return func() { d.send(daemon.SdNotifyReady) }
}

// stopping reports that the server is stopping and how long that may take. It ends the
// regular reports.
func (d *systemd) stopping(atMost time.Duration) {
	if d == nil {
		return
	}
	d.cancel()
	d.stopped.Wait()
	d.extend(atMost, daemon.SdNotifyStopping, "STATUS=stopping")
}

// extend asks for more time in the current state than the unit allows.
func (d *systemd) extend(by time.Duration, states ...string) {
	message := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds())
	for _, s := range states {
		message = s + "\n" + message
	}
	d.send(message)
}
