package main

import (
	"context"
	"crypto/tls"
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
	"roost/session"
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

	TLSMin         string `name:"tls-min" group:"tls" enum:"1.2,1.3" default:"1.2" placeholder:"VERSION" help:"Oldest version of TLS: 1.2 or 1.3 (default: ${default})."`
	TLSLean        bool   `name:"tls-lean" group:"tls" default:"true" negatable:"" help:"Keep 160 bytes of an idle TLS 1.3 session in the place of several kilobytes; --tls-lean=false leaves it with crypto/tls (default: ${default})."`
	Handshakes     int    `group:"tls" default:"1024" placeholder:"N" help:"TLS handshakes under way at once, half of them of one network at most; more wait (default: ${default})."`
	AllowPlaintext bool   `group:"tls" help:"Allow logins without TLS: for tests and closed networks."`

	Register     bool     `group:"accounts" help:"Let clients create accounts (XEP-0077)."`
	MaxRegister  int      `group:"accounts" default:"60" placeholder:"N" help:"Accounts that clients of one IPv4 address or IPv6 /64 may try to create in an hour; loopback is exempt; -1: any number (default: ${default})."`
	MaxFailures  int      `group:"accounts" default:"10" placeholder:"N" help:"Failed logins of one account from one IPv4 address or IPv6 /64 before more are refused; one is forgiven a minute; -1: any number (default: ${default})."`
	MaxResources int      `group:"accounts" default:"10" placeholder:"N" help:"Clients of one account at once (default: ${default})."`
	Conflict     string   `group:"accounts" enum:"kick-old,refuse-new,rename-new" default:"kick-old" placeholder:"POLICY" help:"When a client asks for a resource that is taken: kick-old, refuse-new or rename-new (default: ${default})."`
	Deliver      string   `group:"accounts" enum:"all,highest" default:"all" placeholder:"WHOM" help:"A message to an account goes to all of its clients with a non-negative priority, or to those with the highest (default: ${default})."`
	OfflineQuota int      `group:"accounts" default:"1000" placeholder:"N" help:"Messages kept for an account that is away; 0: none (default: ${default})."`
	OfflineBytes byteSize `group:"accounts" default:"8MiB" placeholder:"BYTES" help:"Bytes of the messages kept for an account (default: ${default})."`
	OfflineShare int      `group:"accounts" default:"50" placeholder:"PERCENT" help:"How much of both the messages of one sender may take, 1 to 100 percent (default: ${default})."`
	ContactAdmin []string `group:"accounts" placeholder:"URI" help:"Address of the administrators, shown to clients (XEP-0157), such as mailto:admin@example.org. Repeat it for more."`
	ContactAbuse []string `group:"accounts" placeholder:"URI" help:"Address for reports of abuse, likewise."`

	Pollers       int      `group:"limits" default:"${cpus}" placeholder:"N" help:"Event loops (default: the CPUs, here ${default})."`
	Workers       int      `group:"limits" default:"32" placeholder:"N" help:"Goroutines that read from the database; those that write to it are others (default: ${default})."`
	MaxStanza     byteSize `group:"limits" default:"256KiB" placeholder:"BYTES" help:"Largest stanza, 10000 bytes to 64MiB (default: ${default})."`
	Outbox        byteSize `group:"limits" default:"256KiB" placeholder:"BYTES" help:"What waits for one client that does not read (default: ${default})."`
	UnauthMemory  byteSize `group:"limits" default:"64MiB" placeholder:"BYTES" help:"Memory for clients that have not logged in, TLS handshakes included; half of it for one IPv4 address or IPv6 /64 at most (default: ${default})."`
	SlowReader    string   `group:"limits" enum:"close,detach" default:"close" placeholder:"POLICY" help:"A client whose outbox is full is cut off (close), or gets --linger to take what is queued (detach) (default: ${default})."`
	FanoutRate    int      `group:"limits" default:"20000" placeholder:"N" help:"Deliveries to others that the clients of one account may cause in a second, by presence above all, and five times as many at once; past that they are not read for a while; -1: any number (default: ${default})."`
	RosterCache   byteSize `group:"limits" default:"8MiB" placeholder:"BYTES" help:"Memory for rosters (default: ${default})."`
	MaxPerAddress int      `group:"limits" default:"10000" placeholder:"N" help:"Connections of one IPv4 address or IPv6 /64; loopback is exempt; -1: any number (default: ${default})."`
	MaxAttempts   int      `group:"limits" default:"0" placeholder:"N" help:"Connections that one of those may open in a minute; -1: any number (default: three times --max-per-address)."`
	MemoryLimit   byteSize `group:"limits" default:"0" placeholder:"BYTES" help:"The garbage collector works harder as memory comes near this; 0: no limit (default: ${default})."`

	LoginTimeout   time.Duration `group:"time" default:"60s" placeholder:"TIME" help:"From connecting to the end of the login: a person may have to look at the certificate (default: ${default})."`
	IdleTimeout    time.Duration `group:"time" default:"24h" placeholder:"TIME" help:"A client that sends nothing for so long, not even white space, is closed; -1s: never (default: ${default})."`
	UserTimeout    time.Duration `group:"time" default:"2m" placeholder:"TIME" help:"Bytes that a client does not acknowledge for so long end the connection (TCP_USER_TIMEOUT); -1s: as the system has it (default: ${default})."`
	Keepalive      time.Duration `group:"time" default:"0s" placeholder:"TIME" help:"Interval of TCP keep-alive probes; 0s: none (default: ${default})."`
	KeepaliveBatch time.Duration `aliases:"rest" group:"time" default:"50ms" placeholder:"TIME" help:"When only keep-alives arrive, read them in batches at this interval, which saves most of their CPU; the next stanza may be delayed by as much; 0s: read at once, 1s at most (default: ${default})."`
	Linger         time.Duration `group:"time" default:"5s" placeholder:"TIME" help:"Wait for a client to take its last bytes and close (default: ${default})."`
	DrainTimeout   time.Duration `group:"time" default:"20s" placeholder:"TIME" help:"For a clean stop; then what is left is cut off (default: ${default})."`

	LogLevel  slog.Level `group:"log" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (default: ${default})."`
	LogFormat string     `group:"log" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text or json (default: ${default})."`
	Pprof     string     `group:"log" placeholder:"ADDR" help:"Serve Go's profiles at this loopback address, such as 127.0.0.1:6060; without it there are none."`
}

// siteFlags say what is served, where, and as whom.
type siteFlags struct {
	Domain    []string `group:"where" default:"localhost" placeholder:"NAME" help:"Domain that is served. Repeat it for more (default: ${default})."`
	C2S       string   `name:"c2s" env:"ROOST_C2S" group:"where" default:":5222" placeholder:"ADDR" help:"Address for clients, with STARTTLS; empty turns it off (default: ${default})."`
	C2STLS    string   `name:"c2s-tls" env:"ROOST_C2S_TLS" group:"where" default:":5223" placeholder:"ADDR" help:"Address for clients with direct TLS; empty turns it off (default: ${default})."`
	dataFlags `group:"where"`
	TLSCert   []string `name:"tls-cert" group:"tls" placeholder:"FILE" help:"Certificate chain, PEM. Repeat it for more domains. Without one, a self-signed certificate is made and kept."`
	TLSKey    []string `name:"tls-key" group:"tls" placeholder:"FILE" help:"Key of the certificate, PEM; as often and in the same order as --tls-cert."`
}

// serverConfig turns flags into the server's configuration.
func (c *serveFlags) serverConfig(log *slog.Logger) server.Config {
	cfg := server.Config{
		Domains: c.Domain, C2S: c.C2S, C2STLS: c.C2STLS, DataDir: c.Data, Store: c.Store,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, Handshakes: c.Handshakes, AllowPlaintext: c.AllowPlaintext,
		StdTLS:   !c.TLSLean,
		Register: c.Register, MaxRegister: c.MaxRegister, MaxFailures: c.MaxFailures, MaxResources: c.MaxResources, OfflineQuota: c.OfflineQuota,
		OfflineBytes: int64(c.OfflineBytes), OfflineShare: c.OfflineShare,
		Conflict: map[string]session.ConflictPolicy{
			"kick-old": session.KickOld, "refuse-new": session.RefuseNew, "rename-new": session.RenameNew,
		}[c.Conflict],
		DeliverHighest: c.Deliver == "highest",
		Contacts:       map[string][]string{"admin": c.ContactAdmin, "abuse": c.ContactAbuse},
		Pollers:        c.Pollers, Workers: c.Workers, MaxStanza: int(c.MaxStanza), Outbox: int(c.Outbox), UnauthMemory: int(c.UnauthMemory),
		DetachSlow: c.SlowReader == "detach", FanoutRate: c.FanoutRate, RosterCache: int(c.RosterCache), MaxPerAddress: c.MaxPerAddress, MaxAttempts: c.MaxAttempts,
		LoginTimeout: c.LoginTimeout, IdleTimeout: c.IdleTimeout,
		UserTimeout: c.UserTimeout, KeepAlive: c.Keepalive, KeepaliveBatch: c.KeepaliveBatch, Linger: c.Linger,
		MinTLS: tls.VersionTLS12,
		Logger: log,
	}
	if c.TLSMin == "1.3" {
		cfg.MinTLS = tls.VersionTLS13
	}
	// These may be 0, which the server takes for its default.
	if c.OfflineQuota == 0 {
		cfg.OfflineQuota = -1
	}
	if c.KeepaliveBatch == 0 {
		cfg.KeepaliveBatch = -1
	}
	return cfg
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
	for sig := range signals {
		if sig != syscall.SIGHUP {
			break
		}
		if err := s.Reload(); err != nil {
			cfg.Logger.Error("certificates were not reloaded", "err", err)
		} else {
			cfg.Logger.Info("certificates were reloaded")
		}
	}
	return c.stop(s, out.log, signals)
}

// gcPercent is how much garbage there may be, in percent of what is live, before
// it is collected. With Go's 100 the holes that a storm of logins leaves between
// sessions cost half as much as the sessions; with 25 a tenth. What that costs in a
// storm while little is alive, the server's pacer takes care of.
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
