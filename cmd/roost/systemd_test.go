package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"roost/admin/api"
	"roost/internal/cmdtest"
)

// fakeHealth is a server whose loops hang if hung is set.
type fakeHealth struct {
	online int
	hung   bool
	drain  api.Drain
}

func (h *fakeHealth) DrainStatus() (api.Drain, bool) { return h.drain, h.drain.State != "" }

func (h *fakeHealth) Online() int { return h.online }

func (h *fakeHealth) CheckLoops(ctx context.Context) error {
	if !h.hung {
		return nil
	}
	<-ctx.Done()
	return errors.New("1 of 2 event loops do not respond")
}

// TestSystemdStatus: the status is sent only after a change and at most once per
// interval; the watchdog is notified only while all loops run.
func TestSystemdStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		var log bytes.Buffer
		d := &systemd{log: slog.New(slog.NewTextHandler(&log, nil)), watchdog: 2 * time.Minute,
			notify: func(state string) error { sent = append(sent, state); return nil }}
		h := &fakeHealth{online: 812330}
		after := func(pass time.Duration, want ...string) {
			t.Helper()
			sent = nil
			time.Sleep(pass) // virtual time
			synctest.Wait()
			if fmt.Sprint(sent) != fmt.Sprint(want) {
				t.Errorf("sent %q, want %q", sent, want)
			}
		}
		d.ready(h)
		if want := "READY=1\nSTATUS=812,330 online"; len(sent) != 1 || sent[0] != want {
			t.Errorf("sent %q, want %q", sent, want)
		}
		after(30 * time.Second) // nothing has changed
		h.online = 812331
		after(4 * time.Second)
		after(time.Second, "STATUS=812,331 online")
		after(24 * time.Second)
		after(time.Second, "WATCHDOG=1")
		after(time.Minute, "WATCHDOG=1")
		h.hung = true
		after(10 * time.Minute)
		if n := strings.Count(log.String(), "1 of 2 event loops do not respond"); n == 0 {
			t.Errorf("the log does not say why:\n%s", &log)
		}
		h.hung = false
		after(2*time.Minute, "WATCHDOG=1", "WATCHDOG=1")
		h.hung = true
		d.stopping(90 * time.Second)
		after(time.Hour)
	})
}

// TestSystemdDrain: the status has the progress of a drain, and systemd is asked once for the
// time that it takes.
func TestSystemdDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		d := &systemd{log: slog.New(slog.DiscardHandler), notify: func(state string) error { sent = append(sent, state); return nil }}
		h := &fakeHealth{online: 1000}
		d.ready(h)
		next := func(drain api.Drain, want ...string) {
			t.Helper()
			h.drain, sent = drain, nil
			time.Sleep(statusInterval)
			synctest.Wait()
			if fmt.Sprint(sent) != fmt.Sprint(want) {
				t.Errorf("sent %q, want %q", sent, want)
			}
		}
		begin := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
		next(api.Drain{State: api.DrainScheduled, Begin: begin}, "STATUS=1,000 online, drain at 2026-03-01T22:00:00Z")
		next(api.Drain{State: api.DrainRunning, Begin: begin, OverSeconds: 600, Clients: 1000}, "EXTEND_TIMEOUT_USEC=620000000", "STATUS=draining: 0 of 1,000 clients have left")
		next(api.Drain{State: api.DrainRunning, Begin: begin, OverSeconds: 600, Clients: 1000, Ended: 500}, "STATUS=draining: 500 of 1,000 clients have left")
		next(api.Drain{State: api.DrainDone, Begin: begin, OverSeconds: 600, Clients: 1000, Ended: 1000}, "STATUS=drained: 1,000 of 1,000 clients have left")
		next(api.Drain{State: api.DrainAborted, Begin: begin}, "STATUS=1,000 online")
		d.stopping(time.Second)
	})
}

// TestSystemdNone: without a service manager, nothing is sent.
func TestSystemdNone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	d := newSystemd(slog.New(slog.DiscardHandler))
	if d != nil {
		t.Fatalf("%+v", d)
	}
	d.ready(nil)
	d.reloading()()
	d.stopping(time.Second)
}

// TestSystemdUnreachable: a failure to send messages is logged once.
func TestSystemdUnreachable(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	t.Setenv("WATCHDOG_USEC", "x")
	var log bytes.Buffer
	d := newSystemd(slog.New(slog.NewTextHandler(&log, nil)))
	d.reloading()()
	d.extend(time.Second)
	if n := strings.Count(log.String(), "systemd could not be notified"); n != 1 || !strings.Contains(log.String(), "WATCHDOG_USEC") {
		t.Errorf("the log:\n%s", &log)
	}
}

// TestSystemdNotify: the messages of a server that starts, reloads and stops.
func TestSystemdNotify(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	_ = socket.SetReadDeadline(time.Now().Add(2 * time.Minute))
	next := func() string {
		t.Helper()
		b := make([]byte, 4096)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	// afterWatchdog returns the next message that is not for the watchdog.
	fed := 0
	afterWatchdog := func() string {
		t.Helper()
		for {
			m := next()
			if m != "WATCHDOG=1" {
				return m
			}
			fed++
		}
	}
	cmd := cmdtest.Program([]string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=200000"},
		"serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "off", "--data", filepath.Join(dir, "data"), "--drain-timeout", "7s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	if m := next(); m != "READY=1\nSTATUS=0 online" {
		t.Errorf("first %q", m)
	}
	if m := next(); m != "WATCHDOG=1" {
		t.Errorf("then %q", m)
	}
	_ = cmd.Process.Signal(syscall.SIGHUP)
	now := time.Now()
	m := afterWatchdog()
	usec, ok := strings.CutPrefix(m, "RELOADING=1\nMONOTONIC_USEC=")
	if n, err := strconv.ParseInt(strings.TrimSpace(usec), 10, 64); !ok || err != nil || n <= 0 {
		t.Errorf("at a reload at %v: %q", now, m)
	}
	if m := afterWatchdog(); m != "READY=1" {
		t.Errorf("after the reload: %q", m)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if m, want := afterWatchdog(), "STATUS=stopping\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=37000000"; m != want {
		t.Errorf("at the end: %q, want %q", m, want)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	_ = os.Remove(name)
}

// TestCredentials: cred:NAME is a file in the directory of the unit's credentials.
func TestCredentials(t *testing.T) {
	f := func(dir, file, want, problem string) {
		t.Helper()
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		c := siteFlags{TLSCert: []string{"/a.crt", file}, TLSKey: []string{"/a.key", file}}
		wrong := c.findCredentials()
		if problem != "" {
			if len(wrong) != 2 || wrong[0].flag != "tls-cert" || wrong[1].flag != "tls-key" || !strings.Contains(wrong[1].text, problem) {
				t.Errorf("%s: %q, want %q", file, wrong, problem)
			}
			return
		}
		if len(wrong) > 0 || c.TLSKey[0] != "/a.key" || c.TLSKey[1] != want || c.TLSCert[1] != want {
			t.Errorf("%s: %q, %q; want %s", file, c, wrong, want)
		}
	}
	f("/run/credentials/roost.service", "cred:key", "/run/credentials/roost.service/key", "")
	f("/run/credentials/roost.service", "credentials/key", "credentials/key", "")
	f("", "key.pem", "key.pem", "")
	f("", "cred:key", "", "LoadCredential=key:FILE")
	for _, bad := range []string{"cred:", "cred:..", "cred:.", "cred:../key", "cred:/key", "cred:a/b"} {
		f("/run/credentials/roost.service", bad, "", "not the name of a credential")
	}
}
