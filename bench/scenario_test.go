package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newTestClients(t *testing.T, cfg Config) *Clients {
	t.Helper()
	f, err := NewClients(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// loginsBy are the ways to log in: as in RFC 6120, with SASL2, and with tokens.
var loginsBy = []func(Config) Config{
	func(c Config) Config { return c },
	func(c Config) Config { c.SASL2 = true; return c },
	func(c Config) Config { c.FAST = true; return c },
}

// TestScenarios runs each scenario at a small size, against a server in its own process.
func TestScenarios(t *testing.T) {
	r := startRoost(t, 20)
	pid := r.cmd.Process.Pid
	for _, tls := range []TLSMode{NoTLS, STARTTLS, DirectTLS} {
		cfg := Config{Target: r.starttls, TLS: tls, Mechanism: ScramSHA2, Resume: true}
		if tls == DirectTLS {
			cfg.Target = r.direct
		}
		t.Run("idle "+string(tls), func(t *testing.T) {
			got, err := newTestClients(t, cfg).Idle(t.Context(), IdleConfig{
				Sessions: 20, Base: 5, Rate: 200, Settle: 10 * time.Millisecond, Hold: 300 * time.Millisecond, Ping: 100 * time.Millisecond, Servers: []int{pid},
			})
			if err != nil || got.Failed != 0 || got.Lost != 0 || got.Sessions != 20 || got.RSS <= 0 {
				t.Errorf("%+v, %v", got, err)
			}
		})
		t.Run("message "+string(tls), func(t *testing.T) {
			f := newTestClients(t, cfg)
			if err := f.Login(t.Context(), 20); err != nil {
				t.Fatal(err)
			}
			for _, rate := range []float64{0, 500} {
				got, err := f.Message(t.Context(), MessageConfig{
					Pairs: 5, Rate: rate, Warmup: 50 * time.Millisecond, Duration: 400 * time.Millisecond, Servers: []int{pid},
				})
				if err != nil || got.Messages == 0 || got.Latency.P50 <= 0 || got.Latency.P50 > got.Latency.Max {
					t.Errorf("rate %v: %+v, %v", rate, got, err)
				}
			}
		})
		t.Run("message with acknowledgements "+string(tls), func(t *testing.T) {
			cfg := cfg
			cfg.SM, cfg.Carbons = true, true
			for _, cfg.SASL2 = range []bool{false, true} {
				f := newTestClients(t, cfg)
				if err := f.Login(t.Context(), 10); err != nil {
					t.Fatal(err)
				}
				got, err := f.Message(t.Context(), MessageConfig{Pairs: 5, Warmup: 50 * time.Millisecond, Duration: 400 * time.Millisecond})
				if err != nil || got.Messages == 0 {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
		t.Run("resume "+string(tls), func(t *testing.T) {
			cfg := cfg
			cfg.SM, cfg.Accounts = true, 20 // as the command does
			for _, by := range loginsBy {
				f := newTestClients(t, by(cfg))
				if err := f.Login(t.Context(), 20); err != nil {
					t.Fatal(err)
				}
				for _, gap := range []int{0, 3} {
					got, err := f.Resume(t.Context(), ResumeConfig{Pairs: 10, Count: 100, Gap: gap, Servers: []int{pid}})
					if err != nil || got.Resumptions != 100 || got.Messages != int64(100*gap) || got.Failed+int(got.Lost+got.Twice+got.Disordered) != 0 || got.PerSecond <= 0 || got.Latency.P50 <= 0 {
						t.Errorf("%+v, %v", got, err)
					}
				}
				if s := f.Status(); s.Online != 20 || s.Lost != 0 || s.Done != 100 {
					t.Errorf("%+v, want 20 online", s)
				}
				if f.cfg.FAST {
					want := htExporter
					if tls == NoTLS {
						want = htNone
					}
					if n, by := tokenUses(f); n != 200 || by != want {
						t.Errorf("%d resumptions by %s, want 200 by %s", n, by, want)
					}
				}
			}
		})
		t.Run("login "+string(tls), func(t *testing.T) {
			cfg := cfg
			cfg.Accounts = 10 // and as many concurrent logins, so that no login replaces another
			for _, by := range loginsBy {
				got, err := newTestClients(t, by(cfg)).LoginStorm(t.Context(), LoginConfig{Count: 300, Servers: []int{pid}})
				if err != nil || got.Failed != 0 || got.Logins != 300 || got.PerSecond <= 0 || got.Latency.P50 <= 0 {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	t.Run("logins at a rate", func(t *testing.T) {
		cfg := Config{Target: r.starttls, Accounts: 10}
		got, err := newTestClients(t, cfg).LoginStorm(t.Context(), LoginConfig{Count: 30, Rate: 100})
		if err != nil || got.Failed != 0 || got.Logins != 30 || got.PerSecond > 110 {
			t.Errorf("%+v, %v; want at most 100 a second", got, err)
		}
	})
	t.Run("presence", func(t *testing.T) {
		f := newTestClients(t, Config{Target: r.starttls})
		if err := f.Login(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		for _, contacts := range []int{4, 4, 3} { // the second time, they are contacts already; 3 are 4, because there are two sides
			got, err := f.Presence(t.Context(), PresenceConfig{Contacts: contacts, Rate: 100, Duration: 300 * time.Millisecond, Servers: []int{pid}})
			if err != nil || got.Changes == 0 || got.Contacts != 4 || got.Delivered != 4*got.Changes || got.Latency.P50 <= 0 {
				t.Errorf("%+v, %v", got, err)
			}
		}
	})
	t.Run("disconnected", func(t *testing.T) {
		f := newTestClients(t, Config{Target: r.starttls})
		if err := f.Login(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		if err := newTestClients(t, Config{Target: r.starttls}).Login(t.Context(), 1); err != nil { // it replaces the first one
			t.Fatal(err)
		}
		for f.Status().Lost == 0 {
			<-time.After(time.Millisecond)
		}
		message, err := f.Message(t.Context(), MessageConfig{Pairs: 2, Duration: 100 * time.Millisecond})
		if err != nil || message.Lost != 1 || !strings.Contains(strings.Join(message.Errors, ""), "conflict") {
			t.Errorf("%+v, %v", message, err)
		}
		shorten(t, &quietPeriod, 100*time.Millisecond)
		presence, err := f.Presence(t.Context(), PresenceConfig{Contacts: 2, Duration: 100 * time.Millisecond})
		if err != nil || presence.Lost != 1 || !strings.Contains(strings.Join(presence.Errors, ""), "conflict") {
			t.Errorf("%+v, %v", presence, err)
		}
	})
	t.Run("reconnect", func(t *testing.T) {
		f := newTestClients(t, Config{Target: r.starttls, Accounts: 20})
		got, err := f.Reconnect(t.Context(), ReconnectConfig{Sessions: 20, Servers: []int{pid}})
		if err != nil || got.Failed != 0 || got.Seconds <= 0 || got.Latency.P50 <= 0 {
			t.Errorf("%+v, %v", got, err)
		}
		if s := f.Status(); s.Online != 20 || s.Lost != 0 {
			t.Errorf("%+v, want 20 online", s)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		err := newTestClients(t, Config{Target: r.starttls, Password: "wrong"}).Login(t.Context(), 2)
		if !errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "not-authorized") {
			t.Errorf("%v", err)
		}
	})
	t.Run("one of two servers", func(t *testing.T) {
		f := newTestClients(t, Config{Targets: []string{r.starttls, "127.0.0.1:1"}})
		if err := f.Login(t.Context(), 5); err == nil || f.Status().Online != 3 || f.Status().Failed != 2 {
			t.Errorf("%+v, %v", f.Status(), err)
		}
	})
	t.Run("too few", func(t *testing.T) {
		f := newTestClients(t, Config{Target: r.starttls})
		if _, err := f.Message(t.Context(), MessageConfig{Pairs: 1}); !errors.Is(err, errFew) {
			t.Errorf("%v", err)
		}
	})
}

// TestDeliveryIncomplete: the time in which nothing more was delivered does not count. Bug: ten
// seconds were added to the run if a server had left out presence that was replaced at once,
// as it may, so that the rate was too low.
func TestDeliveryIncomplete(t *testing.T) {
	shorten(t, &quietPeriod, 50*time.Millisecond)
	counts := make([]paddedCount, 2)
	counts[1].n.Store(5)
	if last := awaitDelivery(t.Context(), counts, 6); time.Since(last) < quietPeriod {
		t.Error("the wait for the missing one counts")
	}
}

// shorten changes a time until the test ends.
func shorten(t *testing.T, v *time.Duration, to time.Duration) {
	was := *v
	*v = to
	t.Cleanup(func() { *v = was })
}

// TestNobodyListens: a target that refuses connections causes a clear error.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	f := newTestClients(t, Config{Target: addr})
	if err := f.Login(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
	if s := f.Status(); s.Failed != 3 {
		t.Errorf("%+v, want 3 failed", s)
	}
}

// TestUsage: the figures of /proc are interpreted correctly.
func TestUsage(t *testing.T) {
	if _, err := ReadUsage(1 << 30); err == nil {
		t.Error("a nonexistent process has a usage")
	}
	one, err := ReadUsage(os.Getpid())
	two, err2 := ReadUsage(os.Getpid(), os.Getpid())
	if err := errors.Join(err, err2); err != nil || two.RSS < one.RSS*3/2 || two.CPU < one.CPU*3/2 {
		t.Errorf("one process %+v, twice the same %+v: %v", one, two, err)
	}
}

// TestExactUsage: the memory is that of all mappings of the process together.
func TestExactUsage(t *testing.T) {
	if _, err := ReadExactUsage(1 << 30); err == nil {
		t.Error("a nonexistent process has a usage")
	}
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(in.Close(), cmd.Wait()) }()
	_, err = in.Write([]byte("x"))
	if _, err2 := io.ReadFull(out, make([]byte, 1)); errors.Join(err, err2) != nil { // from now on it waits
		t.Fatal(err, err2)
	}
	var want int64
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^Rss: +(\d+) kB$`).FindAllSubmatch(all, -1) {
		kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
		want += kib << 10
	}
	u, err := ReadExactUsage(cmd.Process.Pid)
	if err != nil || u.RSS != want || want == 0 {
		t.Errorf("%d bytes, want %d: %v", u.RSS, want, err)
	}
}
