package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"roost/bench"
	"roost/bench/chart"
	"roost/internal/cli"
	"roost/jid"
)

// fleetFlags describe the clients and the server that they connect to. The server may be
// any XMPP server.
type fleetFlags struct {
	Target    []string `default:"127.0.0.1:5222" placeholder:"HOST:PORT" help:"The server (default: ${default}). If there are several for one domain, repeat the flag: clients connect to them in turn, so the two of a pair, and contacts, are at different ones."`
	Domain    string   `default:"localhost" placeholder:"NAME" help:"Its XMPP domain (default: ${default})."`
	TLS       string   `name:"tls" enum:"none,starttls,direct" default:"none" placeholder:"MODE" help:"none (the server must allow logins without TLS: roost serve --allow-plaintext), starttls or direct; any certificate is accepted (default: ${default})."`
	WS        bool     `name:"ws" help:"Connect over WebSocket (RFC 7395): --target is the server's address for it. Without --tls direct the server must allow that, as roost does for a proxy: roost serve --allow-plaintext --ws ADDR --ws-proxy 127.0.0.0/8."`
	WSPath    string   `name:"ws-path" default:"/xmpp-websocket" placeholder:"PATH" help:"Path of the WebSocket endpoint (default: ${default})."`
	Resume    bool     `help:"Resume TLS sessions."`
	Hybrid    bool     `help:"Also offer the post-quantum key exchange X25519MLKEM768. Not all servers support it; without it, all of them do the same work."`
	SASL2     bool     `name:"sasl2" help:"Log in with SASL2 and Bind 2 (XEP-0388, XEP-0386), which enable --sm and --carbons, too."`
	FAST      bool     `name:"fast" help:"Log in with tokens (FAST, XEP-0484): the first login of an account is by password and requests one, later ones use it. Implies --sasl2."`
	SM        bool     `name:"sm" help:"Enable stream management (XEP-0198) with resumption. Everything that the server asks for is acknowledged, and an acknowledgement requested after every five messages."`
	Carbons   bool     `help:"Enable carbons (XEP-0280)."`
	CSI       bool     `name:"csi" help:"Be inactive after the login, as a phone with a dark screen is (XEP-0352)."`
	Mechanism string   `enum:"SCRAM-SHA-1,SCRAM-SHA-256,PLAIN" default:"SCRAM-SHA-1" placeholder:"NAME" help:"SCRAM-SHA-1, SCRAM-SHA-256 or PLAIN (default: ${default})."`
	User      string   `default:"user%d" placeholder:"PATTERN" help:"Usernames; %d is the number of the client (default: ${default})."`
	First     int      `default:"0" placeholder:"N" help:"Number of the first client (default: ${default})."`
	Password  string   `default:"secret" placeholder:"TEXT" help:"Password of all accounts (default: ${default})."`
	InFlight  int      `default:"-1" placeholder:"N" help:"Concurrent logins (default: 100, or one per account if there are fewer)."`
	Loops     int      `default:"1" placeholder:"N" help:"Event loops of the load generator, in each process (default: ${default})."`
	Processes int      `default:"1" placeholder:"N" help:"Processes that share the load; each holds at most 18,000 clients (default: ${default})."`
	Worker    int      `default:"-1" hidden:"" help:"Which of the processes this is."`
	accountFlags
	ServerPID []int    `name:"server-pid" placeholder:"PID" help:"PID of the server, if it runs on this machine, to measure its CPU and memory. Repeat it for several: the figures are those of all together."`
	JSON      jsonFlag `name:"json" help:"Write the result as one JSON object, to --json=FILE or, with --json alone, instead of the table."`
	Chart     string   `placeholder:"FILE" type:"path" help:"Draw the result to a file that ends in .svg or .png: memory by number of clients, or latencies."`
}

// Help implements kong's HelpProvider.
func (f *fleetFlags) Help() string { return timesHelp }

// Validate is called by kong after parsing.
func (f *fleetFlags) Validate() error {
	if strings.Count(f.User, "%d") != 1 || strings.Count(f.User, "%") != 1 {
		return fmt.Errorf("--user %q needs one %%d, where the number goes", f.User)
	}
	if f.InFlight < 1 && f.InFlight != -1 || f.Loops < 1 || f.First < 0 || f.Processes < 1 || f.Processes > maxProcesses {
		return fmt.Errorf("--in-flight and --loops must be at least 1, --first at least 0, --processes from 1 to %d", maxProcesses)
	}
	if f.WS && f.TLS == string(bench.STARTTLS) {
		return errors.New("--ws has no STARTTLS: use --tls direct, or none")
	}
	if f.Chart != "" && chart.Format(f.Chart) != nil {
		return fmt.Errorf("--chart %s: %w", f.Chart, chart.Format(f.Chart))
	}
	return cmp.Or(hasDirectory("--json", f.JSON.file), hasDirectory("--chart", f.Chart))
}

// hasDirectory returns an error if there is no directory for a file that a flag names: it is
// written at the end of a run, which may have taken hours.
func hasDirectory(flag, file string) error {
	if file == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return fmt.Errorf("%s %s: there is no directory %s", flag, file, filepath.Dir(file))
	}
	return nil
}

// Limits of a load generator. Each client is an open file, and 20,000 is a common limit
// for those.
const (
	maxFleet     = 18000 // clients of one process
	maxProcesses = 1000
)

// fits reports whether the processes can run that many clients.
func (f *fleetFlags) fits(all int) error {
	clients := (all + f.Processes - 1) / f.Processes
	if clients > maxFleet {
		return cli.UsageError(fmt.Sprintf("%d clients are more than the %d of one process: --processes %d", all, maxFleet, (all+maxFleet-1)/maxFleet))
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(clients+100) {
		return fmt.Errorf("%d clients need %d open files, and the limit is %d: ulimit -n %d", clients, clients+100, limit.Cur, clients+100)
	}
	return nil
}

// fleet returns the clients of one process.
func (f *fleetFlags) fleet(accounts int, sync func(context.Context) error) (*bench.Clients, error) {
	return bench.NewClients(bench.Config{
		Targets: f.Target, Domain: f.Domain, TLS: bench.TLSMode(f.TLS), Resume: f.Resume, Hybrid: f.Hybrid,
		WebSocket: f.WS, WebSocketPath: f.WSPath, SASL2: f.SASL2, FAST: f.FAST, SM: f.SM, Carbons: f.Carbons, CSI: f.CSI, Mechanism: bench.Mechanism(f.Mechanism),
		User: f.User, First: f.First, Accounts: accounts, Password: f.Password, InFlight: f.InFlight, Loops: f.Loops, Sync: sync,
	})
}

// jidOK reports early if a pattern does not yield valid addresses.
func (f *fleetFlags) jidOK() error {
	if _, err := jid.New(fmt.Sprintf(f.User, f.First), f.Domain, ""); err != nil {
		return cli.UsageError(fmt.Sprintf("--user and --domain make no address: %v", err))
	}
	return nil
}

// byDefault replaces -1 by a default.
func byDefault(v *int, def int) {
	if *v == -1 {
		*v = def
	}
}
