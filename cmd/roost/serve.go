package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
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
	{Key: "cluster", Title: "Several nodes:"},
	{Key: "admin", Title: "Administration interface:"},
	{Key: "tls", Title: "TLS:"},
	{Key: "accounts", Title: "Accounts and clients:"},
	{Key: "limits", Title: "Limits and memory:"},
	{Key: "time", Title: "Timeouts:"},
	{Key: "log", Title: "Logging and profiles:"},
}

// serveCmd runs the server.
type serveCmd struct {
	serveFlags
	unknownEnv []string // misspelled environment variables, for the log
	args       []string // the command line, which a reload reads again

	memoryLimit int64 // without --memory-limit, in bytes
}

// Help implements kong's HelpProvider.
func (c *serveCmd) Help() string {
	return "Every flag can also be set in the environment (--max-stanza as ROOST_MAX_STANZA) or in the config file (max-stanza = \"1MiB\"). " +
		"The command line overrides the environment, which overrides the file. Where the help of a flag says so, the value off turns it off.\n\n" +
		"roost reload, or SIGHUP, makes the server read the config file and its certificates again, and open its audit log again; most settings change without a restart (docs/configuration.md). SIGTERM or Ctrl-C stops it cleanly; a second one stops it at once.\n\n" + unitsHelp
}

// unitsHelp and timesHelp explain how to write sizes and times.
const (
	unitsHelp = "Sizes (BYTES) are plain numbers or have a unit: KiB, MiB and GiB, by 1024, or KB, MB and GB, by 1000. " + timesHelp
	timesHelp = "Times (TIME) have units: ms, s, m and h, such as 500ms or 1h30m."
)

// serveFlags are the flags of the server. roost check accepts all of them, too. Each can
// be set in the environment as ROOST_… and in the config file.
type serveFlags struct {
	Config configFile `placeholder:"FILE" type:"existingfile" help:"TOML file with flags; its keys are flag names, such as max-stanza. The command line and the environment override it."`

	siteFlags

	Cluster string `sets:"Cluster.URL" group:"cluster" placeholder:"URL" help:"Redis or Valkey server by which servers of the same domains, the nodes of a cluster, find each other's clients, such as redis://roost:PASSWORD@redis.example.org; needs a --store that all nodes share. docs/cluster.md describes other forms (default: this server is alone)."`
	Node    string `sets:"Cluster.Name" group:"cluster" placeholder:"NAME" help:"Name of this node in --cluster; each has its own (default: the host name)."`

	Admin       string `sets:"Admin.Addr" off:"" default:"off" group:"admin" placeholder:"ADDR" help:"Serve the administration interface at this address, too, for clients with tokens, which roost admin token add creates; addresses other than loopback need a certificate; off: only on the Unix socket admin.sock in the data directory (default: ${default})."`
	AdminTokens string `sets:"Admin.Tokens" type:"path" group:"admin" placeholder:"FILE" help:"Tokens for --admin, as roost admin token writes them (default: admin-tokens in the data directory)."`
	Audit       string `sets:"Admin.Audit" type:"path" group:"admin" placeholder:"FILE" help:"Append a line of JSON to this file for each change that an administrator makes or tries to make, and for each request that is not allowed; SIGHUP opens it again (default: none)."`

	ACME           string `sets:"ACME.Directory" off:"" name:"acme" env:"ROOST_ACME" default:"off" group:"tls" placeholder:"URL" help:"Obtain and renew certificates for the domains without a --tls-cert, by ACME (RFC 8555), from the authority with this directory; letsencrypt means Let's Encrypt, and letsencrypt-staging its directory for tests. Needs --acme-agree and one of --acme-http, --acme-tls and --acme-dns. docs/certificates.md explains them; off: no certificates are obtained (default: ${default})."`
	ACMEAgree      bool   `sets:"ACME.Agree" name:"acme-agree" env:"ROOST_ACME_AGREE" group:"tls" help:"You agree to the terms of service of the authority of --acme."`
	ACMEEmail      string `sets:"ACME.Email" name:"acme-email" env:"ROOST_ACME_EMAIL" group:"tls" placeholder:"ADDR" help:"E-mail address for the authority of --acme (default: none)."`
	ACMEEABKeyID   string `sets:"ACME.EABKeyID" name:"acme-eab-key-id" env:"ROOST_ACME_EAB_KEY_ID" group:"tls" placeholder:"ID" help:"ID of the key of an account at the authority of --acme, if it requires external account binding (default: none)."`
	ACMEEABKeyFile string `sets:"ACME.EABKeyFile" name:"acme-eab-key-file" env:"ROOST_ACME_EAB_KEY_FILE" type:"path" group:"tls" placeholder:"FILE" help:"File with the HMAC key of --acme-eab-key-id, in base64 as the authority shows it (default: none)."`
	ACMEHTTP       string `sets:"ACME.HTTP" off:"" name:"acme-http" env:"ROOST_ACME_HTTP" default:"off" group:"tls" placeholder:"ADDR" help:"Answer the authority's HTTP requests (HTTP-01) on this address; it asks port 80 of each domain, which may be forwarded here; off: do not listen (default: ${default})."`
	ACMETLS        string `sets:"ACME.TLS" off:"" name:"acme-tls" env:"ROOST_ACME_TLS" default:"off" group:"tls" placeholder:"ADDR" help:"Answer the authority's TLS handshakes (TLS-ALPN-01) on this address; it asks port 443 of each domain, which may be forwarded here. If that is the port of --c2s-tls or --ws, clients: these answer; off: do not listen (default: ${default})."`
	ACMEDNS        string `sets:"ACME.DNS" name:"acme-dns" env:"ROOST_ACME_DNS" type:"path" group:"tls" placeholder:"PROGRAM" help:"Program that adds and removes the DNS records that the authority looks up (DNS-01), such as deploy/acme-dns-nsupdate (default: none)."`
	ACMERoots      string `sets:"ACME.Roots" name:"acme-roots" env:"ROOST_ACME_ROOTS" type:"path" group:"tls" placeholder:"FILE" help:"Authorities, PEM, that sign the certificate of the directory itself, if it is not public (default: those of the system)."`
	ACMEDir        string `sets:"ACME.Dir" name:"acme-dir" env:"ROOST_ACME_DIR" type:"path" group:"tls" placeholder:"DIR" help:"Directory of the account, the certificates and their keys; nodes may share one (default: acme in the data directory)."`

	TLSMin         string `sets:"MinTLS" name:"tls-min" group:"tls" placeholder:"VERSION" help:"Minimum TLS version: 1.2 or 1.3 (default: ${default})."`
	TLSLean        bool   `sets:"Poller.StdTLS" name:"tls-lean" group:"tls" negatable:"" help:"Use roost's own TLS 1.3 record layer, which needs 160 bytes per idle session instead of several kilobytes; --no-tls-lean uses Go's crypto/tls throughout (default: ${default})."`
	Handshakes     int    `sets:"Poller.Handshakes" range:"1..1048576" group:"tls" placeholder:"N" help:"Concurrent TLS handshakes. Clients of one IPv4 address or IPv6 /64 get at most half of them; the others wait (default: ${default})."`
	AllowPlaintext bool   `sets:"Session.AllowPlaintext" group:"tls" help:"Allow logins without TLS: for tests and closed networks only."`

	Register         bool          `sets:"XEP.Register" group:"accounts" help:"Let clients create accounts (XEP-0077)."`
	Invitations      string        `sets:"XEP.Invitations" group:"accounts" placeholder:"WHO" help:"Who may create an account by invitation (XEP-0445), even without --register: nobody (off), people invited by operators with roost invite (operators), or also people invited by users with their clients (users, XEP-0401) (default: ${default})."`
	InvitationLife   time.Duration `sets:"XEP.InvitationLife" range:"1m..8784h" group:"accounts" placeholder:"TIME" help:"How long an invitation is valid (default: ${default})."`
	MaxInvitations   int           `sets:"XEP.MaxInvitations" range:"1..10000" group:"accounts" placeholder:"N" help:"Invitations of one user that have not expired, including used ones (default: ${default})."`
	MaxRegister      int           `sets:"XEP.RegisterPerHour" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Registration attempts per hour from one IPv4 address or IPv6 /64, and 16 times as many from an IPv6 /48; loopback is exempt; off: no limit (default: ${default})."`
	HoldNames        time.Duration `sets:"XEP.HoldNames" range:"1s..8760h" off:"" group:"accounts" placeholder:"TIME" help:"How long clients cannot register the name of a deleted account, so that nobody receives what is meant for its former owner; roost user add can use the name at once; off: not held (default: ${default})."`
	MaxFailures      int           `sets:"Session.MaxFailures" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Failed logins per account and IPv4 address or IPv6 /64 before further attempts are refused; one is forgiven each minute; off: no limit (default: ${default})."`
	MaxResources     int           `sets:"Session.MaxResources" range:"1..1048576" group:"accounts" placeholder:"N" help:"Concurrent clients (resources) per account (default: ${default})."`
	Conflict         string        `sets:"Session.Conflict" group:"accounts" placeholder:"POLICY" help:"When a client requests a resource that is in use: disconnect the old client (kick-old), refuse the new one (refuse-new) or give it another resource (rename-new) (default: ${default})."`
	Deliver          string        `sets:"Router.HighestOnly" group:"accounts" placeholder:"WHOM" help:"Deliver a message to an account to all of its clients with a non-negative priority (all), or only to those with the highest (highest) (default: ${default})."`
	OfflineQuota     int           `sets:"Router.MaxOffline" range:"1..1000000000" off:"0" group:"accounts" placeholder:"N" help:"Offline messages stored per account; off: store none (default: ${default})."`
	OfflineBytes     byteSize      `sets:"Router.OfflineBytes" range:"1KiB..1TiB" group:"accounts" placeholder:"BYTES" help:"Total size of an account's offline messages (default: ${default})."`
	OfflineShare     int           `sets:"Router.OfflineShare" range:"1..100" group:"accounts" placeholder:"PERCENT" help:"Share of --offline-quota and --offline-bytes that one sender may use, 1 to 100 percent (default: ${default})."`
	OfflineDays      int           `sets:"Router.OfflineDays" range:"1..36500" off:"" group:"accounts" placeholder:"N" help:"Days for which an offline message is kept; older ones are deleted without notice; off: until it is delivered (default: ${default})."`
	Durable          bool          `sets:"Router.Durable" group:"accounts" help:"Store each message before it is delivered and acknowledged to its sender, and delete it when the recipient has it: a server that is killed loses none. Costs two writes to the database for each message (docs/delivery.md)."`
	StrangerMessages int           `sets:"Router.StrangerMessages" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Messages per hour that an account may send to those who do not know it: there is no subscription between them, and they have not written to it lately; off: no limit (default: ${default})."`
	StrangerRequests int           `sets:"Router.SubscriptionRequests" range:"1..1000000000" off:"" group:"accounts" placeholder:"N" help:"Subscription requests per hour that an account may send; off: no limit (default: ${default})."`
	Exempt           []string      `sets:"Router.Exempt" group:"accounts" placeholder:"JID" help:"Account that --stranger-messages and --stranger-requests do not limit, such as bot@example.org. Repeat for several."`
	ContactAdmin     []string      `sets:"XEP.Contacts[admin]" group:"accounts" placeholder:"URI" help:"Address of the administrators, shown to clients (XEP-0157), such as mailto:admin@example.org. Repeat for several."`
	ContactAbuse     []string      `sets:"XEP.Contacts[abuse]" group:"accounts" placeholder:"URI" help:"Address for abuse reports, in the same form. Repeat for several."`
	OutageStatus     []string      `sets:"XEP.OutageStatus" group:"accounts" placeholder:"URL" help:"Where clients find out about outages (XEP-0455), such as https://status.example.org/outage.json. Repeat for several."`
	OutageFile       string        `sets:"OutageFile" type:"path" group:"accounts" placeholder:"FILE" help:"Write a document about a planned drain to this file, as XEP-0455 defines it, for a web server that serves it at --outage-status (default: none)."`

	Pollers       int      `sets:"Poller.Loops" range:"1..1024" group:"limits" placeholder:"N" help:"Event loops (default: one per CPU, here ${default})."`
	Workers       int      `sets:"Session.Workers" range:"1..10000" group:"limits" placeholder:"N" help:"Goroutines for database reads; writes have their own (default: ${default})."`
	MaxStanza     byteSize `sets:"Session.Limits.MaxStanza" range:"10000..64MiB" group:"limits" placeholder:"BYTES" help:"Largest stanza, 10000 bytes to 64MiB (default: ${default})."`
	Outbox        byteSize `sets:"Poller.Outbox" range:"10000..1GiB" group:"limits" placeholder:"BYTES" help:"Output queued for a client that does not read; --slow-reader says what happens when it is full (default: ${default})."`
	Unacked       byteSize `sets:"Session.Unacked" range:"64KiB..1GiB" group:"limits" placeholder:"BYTES" help:"Stanzas kept until a client has acknowledged them (XEP-0198). A client that lets them exceed this is disconnected. When its session ends, its messages go to its other clients or to the offline messages (default: ${default})."`
	UnackedMemory byteSize `sets:"Session.UnackedMemory" range:"1MiB..1TiB" group:"limits" placeholder:"BYTES" help:"Such stanzas of all clients together. Above this, sessions of the accounts with the most of them end (default: ${default})."`
	SavedSessions byteSize `sets:"SavedSessions" range:"1MiB..1TiB" group:"limits" placeholder:"BYTES" help:"Sessions that a stop leaves in the store, so that their clients can resume them (XEP-0198) after the next start; a session takes some 300 bytes. Those beyond the limit end (default: ${default})."`
	UnauthMemory  byteSize `sets:"Poller.UnauthMemory" range:"4MiB..1TiB" group:"limits" placeholder:"BYTES" help:"Memory for clients that have not logged in, TLS handshakes included; clients of one IPv4 address or IPv6 /64 get at most half of it (default: ${default})."`
	SlowReader    string   `sets:"Session.LingerSlow" group:"limits" placeholder:"POLICY" help:"When a client's outbox is full: disconnect it (close), or end its session but give it --linger to read what is queued (detach). A client that can resume its session only loses its connection (default: ${default})."`
	FanoutRate    int      `sets:"Session.FanoutRate" range:"1..1000000000" off:"" group:"limits" placeholder:"N" help:"Deliveries to others per second that the clients of one account may cause, mostly by presence; bursts of five times as many are allowed. Above the limit the server stops reading from these clients for a while; off: no limit (default: ${default})."`
	RosterCache   byteSize `sets:"Router.RosterCache" range:"1KiB..1TiB" group:"limits" placeholder:"BYTES" help:"Memory for cached rosters (default: ${default})."`
	MaxPerAddress int      `sets:"Poller.MaxPerAddress" range:"1..1000000000" off:"" group:"limits" placeholder:"N" help:"Concurrent connections from one IPv4 address or IPv6 /64; loopback is exempt; off: no limit (default: ${default})."`
	MaxAttempts   int      `sets:"Poller.MaxAttempts" range:"0..1000000000" off:"" group:"limits" default:"0" placeholder:"N" help:"New connections per minute from one IPv4 address or IPv6 /64; loopback is exempt; off: no limit (default: three times --max-per-address)."`
	MemoryLimit   byteSize `reload:"yes" range:"32MiB..1TiB" off:"0" group:"limits" default:"off" placeholder:"BYTES" help:"Soft memory limit, like GOMEMLIMIT: the garbage collector works harder as memory use approaches it; off: no limit (default: ${default})."`

	LoginTimeout   time.Duration `sets:"Session.LoginTimeout" range:"1ms..8760h" group:"time" placeholder:"TIME" help:"Time limit from connecting to the end of the login; long enough for a user to inspect the certificate (default: ${default})."`
	IdleTimeout    time.Duration `sets:"Poller.IdleTimeout" range:"1ms..8760h" off:"" group:"time" placeholder:"TIME" help:"Disconnect a client that has sent nothing, not even white space, for this long; off: never (default: ${default})."`
	UserTimeout    time.Duration `sets:"Poller.UserTimeout" range:"1ms..596h" off:"" group:"time" placeholder:"TIME" help:"Close a connection when sent data stays unacknowledged for this long (TCP_USER_TIMEOUT); off: the system's default (default: ${default})."`
	Keepalive      time.Duration `sets:"Poller.KeepAlive" range:"1s..9h" off:"0" group:"time" placeholder:"TIME" help:"Interval of TCP keep-alive probes; off: none (default: ${default})."`
	KeepaliveBatch time.Duration `sets:"Poller.KeepaliveBatch" range:"1ns..1s" off:"0" aliases:"rest" group:"time" placeholder:"TIME" help:"When only keep-alives arrive, read them in batches at this interval, which saves most of their CPU time; the next stanza may be delayed by as much. At most 1s; off: read at once (default: ${default})."`
	Linger         time.Duration `sets:"Session.Linger" range:"1ms..8760h" group:"time" placeholder:"TIME" help:"How long to wait for a client to read its last data and close the connection (default: ${default})."`
	AckInterval    time.Duration `sets:"Session.AckInterval" range:"1ms..8760h" off:"" group:"time" placeholder:"TIME" help:"Ask each client at most once in this time to acknowledge stanzas (XEP-0198), unless 16 wait; off: as often as possible (default: ${default})."`
	AckTimeout     time.Duration `sets:"Session.AckTimeout" range:"1ms..8760h" off:"" group:"time" placeholder:"TIME" help:"Disconnect a client that has been asked to acknowledge stanzas (XEP-0198) and does not respond for this long; off: wait for it (default: ${default})."`
	ResumeTimeout  time.Duration `sets:"Session.ResumeTimeout" range:"1s..8h" off:"" group:"time" placeholder:"TIME" help:"How long a session whose connection is lost waits for its client to resume it (XEP-0198); off: it ends at once (default: ${default})."`
	TokenLife      time.Duration `sets:"Session.TokenLife" range:"1h..8760h" off:"" group:"time" placeholder:"TIME" help:"How long a client that keeps a token instead of the password (FAST, XEP-0484) may stay away before it needs the password again; off: no tokens (default: ${default})."`
	DrainTimeout   time.Duration `reload:"yes" range:"0s..8760h" group:"time" default:"20s" placeholder:"TIME" help:"Time limit for a clean shutdown; clients still connected after it are cut off (default: ${default})."`

	LogLevel  slog.Level `reload:"yes" group:"log" default:"info" placeholder:"LEVEL" help:"Log level: debug, info, warn or error (default: ${default})."`
	LogFormat string     `reload:"no: the log is opened at the start" group:"log" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Log format: text or json (default: ${default})."`
	Pprof     string     `reload:"no: the address is opened at the start" group:"log" placeholder:"ADDR" help:"Serve Go's profiles on this loopback address, such as 127.0.0.1:6060 (default: off)."`
}

// siteFlags are the domains, addresses, proxies and certificates.
type siteFlags struct {
	Domain        []string `sets:"Domains" group:"where" placeholder:"NAME" help:"Domain to serve. Repeat for several (default: ${default})."`
	C2S           string   `sets:"C2S" off:"" name:"c2s" env:"ROOST_C2S" group:"where" default:":5222" placeholder:"ADDR" help:"Listen for clients with STARTTLS on this address; off: do not listen (default: ${default})."`
	C2STLS        string   `sets:"C2STLS" off:"" name:"c2s-tls" env:"ROOST_C2S_TLS" group:"where" default:":5223" placeholder:"ADDR" help:"Listen for clients with direct TLS on this address; off: do not listen (default: ${default})."`
	ProxyProtocol []string `sets:"ProxyProtocol" group:"where" placeholder:"CIDR" help:"Proxies in front of the server, such as 192.0.2.1 or 10.0.0.0/8: connections from these addresses must begin with a PROXY protocol header (version 1 or 2), which has the address of the client. Separate several by commas."`
	BlockFile     []string `sets:"BlockFiles" type:"path" group:"where" placeholder:"FILE" help:"File of networks and accounts that may not use the server, one on a line, with comments after # or ;, such as Spamhaus's DROP list; roost reload reads it again. Repeat for several."`
	WS            string   `sets:"WebSocket.Addr" off:"" name:"ws" group:"where" default:"off" placeholder:"ADDR" help:"Listen for WebSocket clients (RFC 7395), such as web pages, on this address, with TLS, or without it for --ws-proxy. The documents by which clients find the endpoint (XEP-0156, /.well-known/host-meta) are served there, too; off: do not listen (default: ${default})."`
	WSPath        string   `sets:"WebSocket.Path" name:"ws-path" group:"where" placeholder:"PATH" help:"Path of the WebSocket endpoint (default: /xmpp-websocket)."`
	WSOrigin      []string `sets:"WebSocket.Origins" name:"ws-origin" group:"where" placeholder:"ORIGIN" help:"Web sites whose pages may connect to --ws, such as https://chat.example.org. Separate several by commas (default: all)."`
	WSProxy       []string `sets:"WebSocket.Proxies" name:"ws-proxy" group:"where" placeholder:"CIDR" help:"Reverse proxies that terminate TLS in front of --ws, such as 127.0.0.1 or 10.0.0.0/8: connections from these addresses have no TLS, and the last address of X-Forwarded-For is the client's. Separate several by commas."`
	WSURL         string   `sets:"WebSocket.URL" name:"ws-url" group:"where" placeholder:"URL" help:"URL of the WebSocket endpoint for clients, such as wss://chat.example.org/xmpp-websocket (default: made of the domain, the port of --ws and --ws-path)."`
	dataFlags     `group:"where"`
	TLSCert       []string `sets:"TLSCert" name:"tls-cert" group:"tls" placeholder:"FILE" help:"Certificate chain, PEM, or cred:NAME, a credential of the systemd unit. Repeat for more domains. Without one, and without --acme, a self-signed certificate is created in the data directory."`
	TLSKey        []string `sets:"TLSKey" name:"tls-key" group:"tls" placeholder:"FILE" help:"Private key of the certificate, PEM, or cred:NAME; one for each --tls-cert, in the same order."`
}

// Run serves until it receives a signal.
func (c *serveCmd) Run() error {
	out := openOutput(c.LogLevel, c.LogFormat == "json")
	defer out.close()
	err := c.serve(out)
	var usage cli.UsageError
	if err != nil && c.LogFormat == "json" && !errors.As(err, &usage) {
		out.log.Error("server failed", "err", err)
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
		cfg.Logger.Warn("unknown environment variable", "variable", text)
	}
	raiseOpenFiles(cfg.Logger)
	forbidDumps(cfg.Logger)
	c.tuneProfiler()
	c.tuneCollector(&cfg)
	if cfg.Sockets, err = activated(); err != nil {
		return err
	}
	cfg.Admin.LogWritten, cfg.Admin.LogDropped = out.stderr.Flush, out.stderr.TotalDropped
	cfg.Admin.RecentLog, cfg.Admin.FollowLog = out.recent.Lines, out.recent.Follow
	r := newReloader(c, out)
	cfg.Admin.Reload, cfg.Admin.Settings = r.reload, r.settings
	cfg.Admin.LogLevel = &out.level
	if dir := os.Getenv("RUNTIME_DIRECTORY"); filepath.IsAbs(dir) && !strings.Contains(dir, ":") {
		cfg.Admin.SocketDir = dir // RuntimeDirectory= of systemd (systemd.exec(5)), if it is one
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
	go func() { // ends with the process
		<-s.Exit()
		signals <- syscall.SIGTERM
	}()
	manager := newSystemd(cfg.Logger)
	manager.ready(s)
	r.start(s, manager)
	for sig := range signals {
		if sig != syscall.SIGHUP {
			break
		}
		_, _ = r.reload(context.Background()) // it is logged
	}
	drain := r.stop()
	manager.stopping(drain + s.StopTime() + stopSlack)
	return stop(s, out.log, signals, drain)
}

// tuneProfiler has Go's runtime record where memory is allocated only if profiles are served. The
// records are reached through a table of 1.4 MB, and each new one is somewhere else in it.
func (c *serveCmd) tuneProfiler() {
	if c.Pprof == "" {
		runtime.MemProfileRate = 0
	}
}

// gcPercent is the amount of garbage, in percent of the live heap, that triggers a
// collection. With Go's 100, the holes that a storm of logins leaves between sessions
// cost half as much as the sessions; with 25, a tenth. The server's gcController limits
// the cost of the lower value during a storm while the live heap is small.
const gcPercent = 25

// tuneCollector sets the GC percentage unless the environment (GOGC) sets it.
func (c *serveCmd) tuneCollector(cfg *server.Config) {
	if os.Getenv("GOGC") == "" {
		cfg.GCPercent = gcPercent
	}
	c.memoryLimit = debug.SetMemoryLimit(-1)
	c.limitMemory()
}

// stop stops the server within the drain timeout, and the time that saving sessions takes. A
// second signal stops it immediately.
func stop(s *server.Server, log *slog.Logger, signals <-chan os.Signal, drain time.Duration) error {
	log.Info("stopping; a second signal stops at once")
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	go func() {
		for sig := range signals {
			if sig != syscall.SIGHUP {
				cancel()
				s.StopNow() // also when the time is over, and sessions are being saved
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

// greet prints what a person needs to know after the start.
func greet(w io.Writer, s *server.Server, c *serveCmd, profiles string) {
	fmt.Fprintf(w, "roost serves %s\n", strings.Join(c.Domain, ", "))
	for _, a := range s.Addrs() {
		fmt.Fprintf(w, "  %-28s %s\n", a.Name, a.Addr)
	}
	if profiles != "" {
		fmt.Fprintf(w, "  %-28s %s\n", "profiles", profiles)
	}
	if node := s.Node(); node != "" {
		fmt.Fprintf(w, "  %-28s %s\n", "node of a cluster", node)
	}
	fmt.Fprintf(w, "  %-28s %s\n", "open files", roomFor(capacity.ThisHost()))
	fmt.Fprintf(w, "  %-28s %s\n", "data", c.Data)
	if file := s.CertificateFile(); file != "" {
		note := "clients must be configured to trust it"
		if c.ACME != "" {
			note = "until one is obtained by ACME"
		}
		fmt.Fprintf(w, "  %-28s %s (%s)\n", "self-signed certificate", file, note)
	}
	fmt.Fprintf(w, "Add an account:  %s\n", c.suggest("user", "add", "romeo@"+c.Domain[0]))
	fmt.Fprintf(w, "Then log in with any XMPP client. Ctrl-C stops the server.\n")
}

// forbidDumps excludes the process's memory, which contains keys of TLS sessions, from
// core dumps and protects it from other processes of the same user.
func forbidDumps(log *slog.Logger) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("cannot disable core dumps", "err", err)
	}
}

// raiseOpenFiles raises the soft limit of open files to the hard limit: every client
// needs a file. Go's runtime has raised it to one less already.
func raiseOpenFiles(log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("cannot raise the limit on open files", "err", err)
	}
	log.Debug("limit on open files", "files", limit.Cur)
}
