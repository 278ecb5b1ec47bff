package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"roost/capacity"
	"roost/internal/cli"
	"roost/server"
)

// serveGroups are the headings of the flags in the help.
var serveGroups = []kong.Group{
	{Key: "where", Title: "Where it listens and keeps its data:"},
	{Key: "tls", Title: "TLS:"},
	{Key: "accounts", Title: "Accounts and clients:"},
	{Key: "limits", Title: "Limits and memory:"},
	{Key: "time", Title: "Timeouts:"},
	{Key: "log", Title: "Logging and profiles:"},
}

// serveCmd runs the server.
type serveCmd struct {
	serveFlags
	unknownEnv []string // what the environment has by mistake, for the log
}

// Help is shown by kong.
func (c *serveCmd) Help() string {
	return "Every flag can also be given in the environment or in the config file. " + unitsHelp
}

// unitsHelp and timesHelp say how sizes and times are written.
const (
	unitsHelp = "Sizes (BYTES) are plain numbers or have a unit: KiB, MiB and GiB, by 1024, or KB, MB and GB, by 1000. " + timesHelp
	timesHelp = "Times (TIME) have units: ms, s, m and h, such as 500ms or 1h30m."
)

// serveFlags are the flags of the server. roost check takes all of them, too. Every
// one can be given in the environment as ROOST_… and in the config file.
type serveFlags struct {
	Config configFile `placeholder:"FILE" type:"existingfile" help:"Read flags from this file: TOML, its keys are the names of flags. The command line and the environment (ROOST_…) come first."`

	siteFlags

	TLSMin         string `sets:"MinTLS" name:"tls-min" group:"tls" placeholder:"VERSION" help:"Oldest version of TLS: 1.2 or 1.3 (default: ${default})."`
	TLSLean        bool   `sets:"Poller.StdTLS" name:"tls-lean" group:"tls" negatable:"" help:"Keep 160 bytes of an idle TLS 1.3 session in the place of several kilobytes; --tls-lean=false leaves it with crypto/tls (default: ${default})."`
	Handshakes     int    `sets:"Poller.Handshakes" range:"1..1048576" group:"tls" placeholder:"N" help:"TLS handshakes under way at once, half of them of one network at most; more wait (default: ${default})."`
	AllowPlaintext bool   `sets:"Session.AllowPlaintext" group:"tls" help:"Allow logins without TLS: for tests and closed networks."`

	Register     bool     `sets:"XEP.Register" group:"accounts" help:"Let clients create accounts (XEP-0077)."`
	MaxRegister  int      `sets:"XEP.RegisterPerHour" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Accounts that clients of one IPv4 address or IPv6 /64 may try to create in an hour; loopback is exempt; off: any number (default: ${default})."`
	MaxFailures  int      `sets:"Session.MaxFailures" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Failed logins of one account from one IPv4 address or IPv6 /64 before more are refused; one is forgiven a minute; off: any number (default: ${default})."`
	MaxResources int      `sets:"Session.MaxResources" range:"1..1048576" group:"accounts" placeholder:"N" help:"Clients of one account at once (default: ${default})."`
	Conflict     string   `sets:"Session.Conflict" group:"accounts" placeholder:"POLICY" help:"When a client asks for a resource that is taken: kick-old, refuse-new or rename-new (default: ${default})."`
	Deliver      string   `sets:"Router.HighestOnly" group:"accounts" placeholder:"WHOM" help:"A message to an account goes to all of its clients with a non-negative priority, or to those with the highest (default: ${default})."`
	OfflineQuota int      `sets:"Router.MaxOffline" range:"1..1000000000" off:"0" group:"accounts" placeholder:"N" help:"Messages kept for an account that is away; off: none (default: ${default})."`
	OfflineBytes byteSize `sets:"Router.OfflineBytes" range:"1KiB..1TiB" group:"accounts" placeholder:"BYTES" help:"Bytes of the messages kept for an account (default: ${default})."`
	OfflineShare int      `sets:"Router.OfflineShare" range:"1..100" group:"accounts" placeholder:"PERCENT" help:"How much of both the messages of one sender may take, 1 to 100 percent (default: ${default})."`
	ContactAdmin []string `sets:"XEP.Contacts[admin]" group:"accounts" placeholder:"URI" help:"Address of the administrators, shown to clients (XEP-0157), such as mailto:admin@example.org. Repeat it for more."`
	ContactAbuse []string `sets:"XEP.Contacts[abuse]" group:"accounts" placeholder:"URI" help:"Address for reports of abuse, likewise."`

	Pollers       int      `sets:"Poller.Loops" range:"1..1024" group:"limits" placeholder:"N" help:"Event loops (default: the CPUs, here ${default})."`
	Workers       int      `sets:"Session.Workers" range:"1..10000" group:"limits" placeholder:"N" help:"Goroutines that read from the database; those that write to it are others (default: ${default})."`
	MaxStanza     byteSize `sets:"Session.Limits.MaxStanza" range:"10000..64MiB" group:"limits" placeholder:"BYTES" help:"Largest stanza, 10000 bytes to 64MiB (default: ${default})."`
	Outbox        byteSize `sets:"Poller.Outbox" range:"10000..1GiB" group:"limits" placeholder:"BYTES" help:"What waits for one client that does not read (default: ${default})."`
	UnauthMemory  byteSize `sets:"Poller.UnauthMemory" range:"4MiB..1TiB" group:"limits" placeholder:"BYTES" help:"Memory for clients that have not logged in, TLS handshakes included; half of it for one IPv4 address or IPv6 /64 at most (default: ${default})."`
	SlowReader    string   `sets:"Session.DetachSlow" group:"limits" placeholder:"POLICY" help:"A client whose outbox is full is cut off (close), or gets --linger to take what is queued (detach) (default: ${default})."`
	FanoutRate    int      `sets:"Session.FanoutRate" range:"1..1000000000" off:"" group:"limits" placeholder:"N" help:"Deliveries to others that the clients of one account may cause in a second, by presence above all, and five times as many at once; past that they are not read for a while; off: any number (default: ${default})."`
	RosterCache   byteSize `sets:"Router.RosterCache" range:"1KiB..1TiB" group:"limits" placeholder:"BYTES" help:"Memory for rosters (default: ${default})."`
	MaxPerAddress int      `sets:"Poller.MaxPerAddress" range:"1..1000000000" off:"" group:"limits" placeholder:"N" help:"Connections of one IPv4 address or IPv6 /64; loopback is exempt; off: any number (default: ${default})."`
	MaxAttempts   int      `sets:"Poller.MaxAttempts" range:"0..1000000000" off:"" group:"limits" default:"0" placeholder:"N" help:"Connections that one of those may open in a minute; off: any number (default: three times --max-per-address)."`
	MemoryLimit   byteSize `range:"32MiB..1TiB" off:"0" group:"limits" default:"off" placeholder:"BYTES" help:"The garbage collector works harder as memory comes near this; off: no limit (default: ${default})."`

	LoginTimeout   time.Duration `sets:"Session.LoginTimeout" range:"1ms..8760h" group:"time" placeholder:"TIME" help:"From connecting to the end of the login: a person may have to look at the certificate (default: ${default})."`
	IdleTimeout    time.Duration `sets:"Poller.IdleTimeout" range:"1ms..8760h" off:"" group:"time" placeholder:"TIME" help:"A client that sends nothing for so long, not even white space, is closed; off: never (default: ${default})."`
	UserTimeout    time.Duration `sets:"Poller.UserTimeout" range:"1ms..596h" off:"" group:"time" placeholder:"TIME" help:"Bytes that a client does not acknowledge for so long end the connection (TCP_USER_TIMEOUT); off: the system's own (default: ${default})."`
	Keepalive      time.Duration `sets:"Poller.KeepAlive" range:"1s..9h" off:"0" group:"time" placeholder:"TIME" help:"Interval of TCP keep-alive probes; off: none (default: ${default})."`
	KeepaliveBatch time.Duration `sets:"Poller.KeepaliveBatch" range:"1ns..1s" off:"0" aliases:"rest" group:"time" placeholder:"TIME" help:"When only keep-alives arrive, read them in batches at this interval, which saves most of their CPU; the next stanza may be delayed by as much; off: read at once, 1s at most (default: ${default})."`
	Linger         time.Duration `sets:"Session.Linger" range:"1ms..8760h" group:"time" placeholder:"TIME" help:"Wait for a client to take its last bytes and close (default: ${default})."`
	DrainTimeout   time.Duration `range:"0s..8760h" group:"time" default:"20s" placeholder:"TIME" help:"For a clean stop; then what is left is cut off (default: ${default})."`

	LogLevel  slog.Level `group:"log" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (default: ${default})."`
	LogFormat string     `group:"log" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text or json (default: ${default})."`
	Pprof     string     `group:"log" placeholder:"ADDR" help:"Serve Go's profiles at this loopback address, such as 127.0.0.1:6060; without it there are none."`
}

// siteFlags say what is served, where, and as whom.
type siteFlags struct {
	Domain        []string `sets:"Domains" group:"where" placeholder:"NAME" help:"Domain that is served. Repeat it for more (default: ${default})."`
	C2S           string   `sets:"C2S" off:"" name:"c2s" env:"ROOST_C2S" group:"where" default:":5222" placeholder:"ADDR" help:"Address for clients, with STARTTLS; off: none (default: ${default})."`
	C2STLS        string   `sets:"C2STLS" off:"" name:"c2s-tls" env:"ROOST_C2S_TLS" group:"where" default:":5223" placeholder:"ADDR" help:"Address for clients with direct TLS; off: none (default: ${default})."`
	ProxyProtocol []string `sets:"ProxyProtocol" group:"where" placeholder:"CIDR" help:"Connections from these addresses, such as 192.0.2.1 or 10.0.0.0/8, must begin with a PROXY protocol header (version 1 or 2), and count as those of the client in it. Separate several by commas."`
	dataFlags     `group:"where"`
	TLSCert       []string `sets:"TLSCert" name:"tls-cert" group:"tls" placeholder:"FILE" help:"Certificate chain, PEM; or cred:NAME, a credential of the systemd unit. Repeat it for more domains. Without one, a self-signed certificate is made and kept."`
	TLSKey        []string `sets:"TLSKey" name:"tls-key" group:"tls" placeholder:"FILE" help:"Key of the certificate, PEM, or cred:NAME; as often and in the same order as --tls-cert."`
}

// Run serves until a signal comes.
func (c *serveCmd) Run() error {
	out := openOutput(c.LogLevel, c.LogFormat == "json")
	defer out.close()
	err := c.serve(out)
	var usage cli.UsageError
	if err != nil && c.LogFormat == "json" && !errors.As(err, &usage) {
		out.log.Error("the server has ended", "err", err)
		return cli.Logged{Err: err}
	}
	return err
}

func (c *serveCmd) serve(out *output) error {
	cfg, err := c.validConfig(out.log)
	if err != nil {
		return err
	}
	for _, text := range c.unknownEnv {
		cfg.Logger.Warn("an environment variable has no meaning", "variable", text)
	}
	raiseOpenFiles(cfg.Logger)
	forbidDumps(cfg.Logger)
	c.tuneCollector(&cfg)
	if cfg.Sockets, err = activated(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	s, err := server.New(context.Background(), cfg)
	if err != nil {
		return err
	}
	var profiles string
	if c.Pprof != "" {
		addr, stop, err := serveProfiles(c.Pprof, cfg.Logger)
		if err != nil {
			return errors.Join(err, s.Shutdown(context.Background()))
		}
		defer stop()
		profiles = "http://" + addr + "/debug/pprof/"
	}
	c.warnCapacity(capacity.ThisHost(), cfg.Logger)
	greet(out.stdout, s, c, profiles)
	manager := newSystemd(cfg.Logger)
	manager.ready(s)
	for sig := range signals {
		if sig != syscall.SIGHUP {
			break
		}
		done := manager.reloading()
		if err := s.Reload(); err != nil {
			cfg.Logger.Error("certificates were not reloaded", "err", err)
		} else {
			cfg.Logger.Info("certificates were reloaded")
		}
		done()
	}
	manager.stopping(c.DrainTimeout + stopSlack)
	return c.stop(s, out.log, signals)
}

// gcPercent is how much garbage there may be, in percent of what is live, before
// it is collected. With Go's 100 the holes that a storm of logins leaves between
// sessions cost half as much as the sessions; with 25 a tenth. What that costs in a
// storm while little is alive, the server's gcController takes care of.
const gcPercent = 25

// tuneCollector sets what the environment (GOGC) does not.
func (c *serveCmd) tuneCollector(cfg *server.Config) {
	if os.Getenv("GOGC") == "" {
		cfg.GCPercent = gcPercent
	}
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(c.MemoryLimit))
	}
}

// stop stops the server within the drain timeout; a second signal stops it at
// once.
func (c *serveCmd) stop(s *server.Server, log *slog.Logger, signals <-chan os.Signal) error {
	log.Info("stopping; a second signal stops at once")
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	go func() {
		for sig := range signals {
			if sig != syscall.SIGHUP {
				cancel()
				return
			}
		}
	}()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped at once: clients were cut off")
	}
	return err
}

// greet says what a person needs to know now.
func greet(w io.Writer, s *server.Server, c *serveCmd, profiles string) {
	fmt.Fprintf(w, "roost serves %s\n", strings.Join(c.Domain, ", "))
	for _, a := range s.Addrs() {
		fmt.Fprintf(w, "  %-28s %s\n", a.Name, a.Addr)
	}
	if profiles != "" {
		fmt.Fprintf(w, "  %-28s %s\n", "profiles", profiles)
	}
	fmt.Fprintf(w, "  %-28s %s\n", "open files", roomFor(capacity.ThisHost()))
	fmt.Fprintf(w, "  %-28s %s\n", "data", c.Data)
	if file := s.CertificateFile(); file != "" {
		fmt.Fprintf(w, "  %-28s %s (clients must be told to trust it)\n", "self-signed certificate", file)
	}
	fmt.Fprintf(w, "Add an account:  %s\n", c.suggest("user", "add", "romeo@"+c.Domain[0]))
	fmt.Fprintf(w, "Then log in with any XMPP client. Ctrl-C stops the server.\n")
}

// forbidDumps keeps the process's memory, which holds keys of TLS sessions, out
// of core dumps and from other processes of the same user.
func forbidDumps(log *slog.Logger) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("core dumps could not be forbidden", "err", err)
	}
}

// raiseOpenFiles raises the limit of open files as far as it goes: every client
// is one. Go's runtime has raised it to one less already.
func raiseOpenFiles(log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of open files could not be raised", "err", err)
	}
	log.Debug("limit of open files", "files", limit.Cur)
}
