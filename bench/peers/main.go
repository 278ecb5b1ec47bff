// Command peers compares roost with Debian's Prosody and ejabberd: it starts each on
// loopback with a configuration from this directory, runs the same scenarios of
// `roost-bench` against it, and writes a page with the results.
//
//	go run ./bench/peers                       # everything: more than two hours
//	go run ./bench/peers -draw                 # only the page and charts, from existing figures
//	go run ./bench/peers -sessions 3000 -base 500 -settle 10s -servers roost
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"roost/bench/servers"
)

// options are the flags.
type options struct {
	servers  []string
	sessions int
	base     int
	settle   time.Duration
	hold     time.Duration
	logins   int
	duration time.Duration
	idle     int
	out      string
	only     string
	draw     bool
}

func main() {
	var o options
	names := flag.String("servers", strings.Join(compared, ","), "servers to measure, separated by commas")
	flag.IntVar(&o.sessions, "sessions", 15000, "idle sessions")
	flag.IntVar(&o.base, "base", 2000, "number of sessions at which memory is first read")
	flag.DurationVar(&o.settle, "settle", 2*time.Minute, "pause before memory is read")
	flag.DurationVar(&o.hold, "hold", time.Minute, "time for which CPU use is measured while sessions are idle, with one ping per minute each")
	flag.IntVar(&o.logins, "logins", 5000, "logins in a storm")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "time for which messages are counted")
	flag.IntVar(&o.idle, "idle", 3000, "idle sessions in addition to those that exchange messages")
	flag.StringVar(&o.out, "out", "bench/results/density.md", "page to write")
	flag.StringVar(&o.only, "only", "", "run only scenarios whose name contains this")
	flag.BoolVar(&o.draw, "draw", false, "do not measure: write the page and draw its charts again, from the figures beside the page")
	flag.Parse()
	o.servers = strings.Split(*names, ",")
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	p := &page{options: o, results: map[string]map[string]result{}}
	if err := p.load(); err != nil {
		return err
	}
	if o.draw {
		return p.write()
	}
	todo, err := selected(o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "roost-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs := filepath.Join(dir, "programs") + string(filepath.Separator)
	if out, err := exec.Command("go", "build", "-o", programs, "roost/cmd/roost", "roost/cmd/roost-bench").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	for _, s := range todo {
		for _, name := range o.servers {
			fmt.Fprintf(os.Stderr, "%s: %s\n", s.name, name)
			r, err := measure(programs, filepath.Join(dir, name), name, s, o)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, name, err)
			}
			r.thin()
			p.add(s, name, r)
			if err := errors.Join(p.save(), p.write()); err != nil {
				return err
			}
			select {
			case <-stop:
				return errors.New("interrupted")
			default:
			}
		}
	}
	return nil
}

// scenario is one run of `roost-bench`.
type scenario struct {
	name     string
	tls      bool
	args     []string
	value    string // the field of its result that is on the page
	unit     string
	contacts int      // mutual contacts of each account
	phones   bool     // the server has what phones need: stream management, client state and carbons
	warm     []string // a preceding run that does not count: it gives programs time to compile themselves
	latency  string   // title of a chart of latencies; "": none
}

func scenarios(o options) []scenario {
	idle := []string{"idle", "--sessions", strconv.Itoa(o.sessions), "--base", strconv.Itoa(o.base), "--settle", o.settle.String(), "--hold", o.hold.String()}
	login := []string{"login", "--count", strconv.Itoa(o.logins), "--accounts", "250", "--in-flight", "100"}
	message := func(pairs int) []string {
		return []string{"message", "--pairs", strconv.Itoa(pairs), "--idle", strconv.Itoa(o.idle), "--duration", o.duration.String()}
	}
	warmed := func(s scenario) scenario {
		s.warm = login
		return s
	}
	with := func(args []string, more ...string) []string { return slices.Concat(args, more) }
	resumed := append([]string{"login", "--resume"}, login[1:]...)
	const perSession, perLogin, perMessage = "server_rss_bytes_per_session", "server_cpu_us_per_login", "server_cpu_us_per_message"
	return []scenario{
		{name: "memory per idle session, plain", args: idle, value: perSession, unit: "B"},
		{name: "memory per idle session, TLS 1.3", tls: true, args: idle, value: perSession, unit: "B"},
		{name: "memory per idle session, ten mutual contacts, plain", args: idle, value: perSession, unit: "B", contacts: 10},
		warmed(scenario{name: "CPU per login, SCRAM-SHA-1, plain", args: login, value: perLogin, unit: "µs"}),
		warmed(scenario{name: "CPU per login, SCRAM-SHA-1, 500 a second, plain", args: with(login, "--rate", "500"), value: perLogin, unit: "µs"}),
		warmed(scenario{name: "CPU per login, SCRAM-SHA-1, full TLS handshake", tls: true, args: login, value: perLogin, unit: "µs"}),
		warmed(scenario{name: "CPU per login, SCRAM-SHA-1, resumed TLS session", tls: true, args: resumed, value: perLogin, unit: "µs"}),
		{name: "CPU per message, 100 pairs, plain", args: message(100), value: perMessage, unit: "µs"},
		{name: "CPU per message, 1,000 pairs, plain", args: message(1000), value: perMessage, unit: "µs"},
		{name: "CPU per message, 100 pairs, TLS", tls: true, args: message(100), value: perMessage, unit: "µs"},
		{name: "CPU per message, 1,000 pairs, TLS", tls: true, args: message(1000), value: perMessage, unit: "µs"},
		{name: "CPU per message, 1,000 a second, plain", args: with(message(100), "--rate", "1000"), value: perMessage, unit: "µs",
			latency: "latency of messages, 1,000 a second, plain"},
		{name: "memory per idle session with stream management, client state and carbons, plain", args: with(idle, "--sm", "--csi", "--carbons"), value: perSession, unit: "B", phones: true},
		{name: "memory per idle session with stream management, client state and carbons, TLS 1.3", tls: true, args: with(idle, "--sm", "--csi", "--carbons"), value: perSession, unit: "B", phones: true},
		{name: "CPU per message with stream management, 100 pairs, plain", args: with(message(100), "--sm"), value: perMessage, unit: "µs", phones: true},
		{name: "CPU per message with stream management, 1,000 a second, plain", args: with(message(100), "--sm", "--rate", "1000"), value: perMessage, unit: "µs", phones: true},
	}
}

// selected returns the scenarios to run, at least one.
func selected(o options) ([]scenario, error) {
	all := slices.DeleteFunc(scenarios(o), func(s scenario) bool { return !strings.Contains(s.name, o.only) })
	if len(all) == 0 {
		return nil, fmt.Errorf("-only %q: no scenario has that in its name; the names are in %s", o.only, o.out)
	}
	return all, nil
}

// result is the output of `roost-bench`.
type result map[string]any

// maxPoints is the number of points that a line of a chart needs.
const maxPoints = 60

// thin reduces the memory over sessions to the points that a chart needs.
func (r result) thin() {
	all, _ := r["growth"].([]any)
	if len(all) <= maxPoints {
		return
	}
	var kept []any
	for i := range maxPoints {
		kept = append(kept, all[i*(len(all)-1)/(maxPoints-1)])
	}
	r["growth"] = kept
}

// measure runs one scenario against a newly started server.
func measure(programs, dir, name string, s scenario, o options) (result, error) {
	plain, direct := servers.FreePort(), servers.FreePort()
	if s.contacts > 0 {
		dir += "-contacts"
	}
	if s.phones {
		dir += "-phones"
	}
	srv, err := servers.Start(name, servers.Config{
		Roost: filepath.Join(programs, "roost"), Dir: dir, Plain: plain, Direct: direct,
		Accounts: max(o.sessions, o.idle+2000), Contacts: s.contacts, Phones: s.phones,
	})
	if err != nil {
		return nil, err
	}
	defer srv.Stop()
	target := []string{"--target", fmt.Sprintf("127.0.0.1:%d", plain)}
	if s.tls {
		target = []string{"--tls", "direct", "--target", fmt.Sprintf("127.0.0.1:%d", direct)}
	}
	if s.warm != nil {
		if _, err := load(programs, append(s.warm, target...)); err != nil {
			return nil, err
		}
	}
	return load(programs, append(append(s.args, target...), "--server-pid", strconv.Itoa(srv.PID())))
}

// load runs the load generator.
func load(programs string, args []string) (result, error) {
	cmd := exec.Command(filepath.Join(programs, "roost-bench"), append(slices.Clone(args), "--json")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("roost-bench %s: %w", strings.Join(args, " "), err)
	}
	r := result{}
	return r, json.Unmarshal(out, &r)
}
