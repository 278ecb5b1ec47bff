package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"roost/internal/rawconn"
)

// engine is the Redis server. The clients are set before up is true for the first time. When a
// request fails because the server cannot be reached, the engine counts as down until the lease
// goroutine has reached it again, so that not every login has to wait for a timeout.
type engine struct {
	client  rueidis.Client // for all but lookups; one connection, so that requests stay in order, and one for what blocks
	lookups rueidis.Client // its server remembers which keys it has read, and reports their changes
	timeout time.Duration  // of a request
	up      atomic.Bool
	suspect atomic.Bool // a connection was lost: the server may be another one, or a new run
	lost    func()      // called when up becomes false

	replicas atomic.Pointer[map[string]bool] // addresses of the servers that were replicas when runs has asked them
}

func newEngine(config Config, lost func()) *engine {
	return &engine{timeout: max(config.Lease/5, time.Second), lost: lost}
}

// open connects. invalidated gets the keys that have changed, nil for all.
func (e *engine) open(config Config, invalidated func([]rueidis.RedisMessage)) error {
	option, err := parseURL(config.URL)
	if err != nil {
		return err
	}
	option.ClientName = "roost-" + strings.Map(clientNameRune, config.Name)
	option.ClientSetInfo = rueidis.DisableClientSetInfo
	option.DisableRetry = true // what to repeat is decided here
	option.AlwaysPipelining = true
	option.PipelineMultiplex = -1
	option.BlockingPoolSize = 4
	option.RingScaleEachConn = 10
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	option.Dialer.Timeout = e.timeout
	option.Dialer.KeepAlive = max(config.Lease/5, time.Second)
	option.ConnWriteTimeout = e.timeout
	option.Sentinel.Dialer = option.Dialer
	option.Sentinel.TopologyRefreshInterval = 5 * time.Second
	option.ClusterOption.ShardsRefreshInterval = 5 * time.Second
	option.ClusterOption.MaxMovedRedirections = 5
	network := "tcp"
	if option.DialCtxFn != nil { // of the URL of a Unix domain socket, and only of that
		network = "unix"
	}
	option.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
		return dial(ctx, network, address, d, config)
	}

	write, look := option, option
	write.DisableCache = true
	client, err := rueidis.NewClient(write)
	if err != nil {
		return fmt.Errorf("cluster: cannot connect to the Redis server at %s: %w", place(option), err)
	}
	look.DisableCache = false
	look.ClientTrackingOptions = []string{} // all keys that it reads
	look.CacheSizeEachConn = 1              // ours is in package cluster
	look.OnInvalidations = invalidated
	lookups, err := rueidis.NewClient(look)
	if err != nil {
		client.Close()
		return fmt.Errorf("cluster: cannot connect to the Redis server at %s: %w", place(option), err)
	}
	e.client, e.lookups = client, lookups
	return nil
}

// dial connects as rueidis does, by a connection that makes requests cheaper. config is nil without TLS.
func dial(ctx context.Context, network, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
	if d.Timeout > 0 { // it is for both
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	c, err := rawconn.Dialer(d.DialContext)(ctx, network, address)
	if err != nil || config == nil {
		return c, err
	}
	secure := tls.Client(c, config) // config has the name of the server
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secure, nil
}

func (e *engine) close() {
	if e.lookups != nil { // it is the last that open sets
		e.client.Close()
		e.lookups.Close()
	}
}

// parseURL reads the URL. Its errors never contain the URL, which has a password.
func parseURL(text string) (rueidis.ClientOption, error) {
	if _, err := url.Parse(text); err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		if strings.Contains(err.Error(), "invalid userinfo") || strings.Contains(err.Error(), "invalid port") {
			err = errors.New("special characters in the user or the password must be percent-encoded")
		}
		return rueidis.ClientOption{}, fmt.Errorf("the URL of the Redis server is not valid: %w", err)
	}
	option, err := rueidis.ParseURL(text)
	if err != nil {
		return option, fmt.Errorf("the URL of the Redis server is not valid: %w (want redis://HOST:PORT, rediss://USER:PASSWORD@HOST:PORT or unix://PATH)", err)
	}
	if option.AlwaysRESP2 {
		return option, errors.New("the URL of the Redis server must not ask for protocol=2: lookups need RESP3")
	}
	if option.Sentinel.MasterSet != "" {
		option.Sentinel.TLSConfig = option.TLSConfig
	}
	return option, nil
}

// place names the server in messages.
func place(option rueidis.ClientOption) string { return strings.Join(option.InitAddress, ", ") }

func clientNameRune(r rune) rune {
	if r <= ' ' || r > '~' {
		return '_'
	}
	return r
}

// failed looks at the error of a request: it reports whether there is one, and marks the
// engine as down if that is the reason.
func (e *engine) failed(err error) bool {
	if err == nil || rueidis.IsRedisNil(err) {
		return false
	}
	if !refused(err) && !errors.Is(err, context.Canceled) {
		e.suspect.Store(true)
		if e.up.CompareAndSwap(true, false) {
			e.lost()
		}
	}
	return true
}

// notServing are the replies of a server that does not do what it usually does.
var notServing = []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK"}

// refused reports whether the server is there, and has refused the request.
func refused(err error) bool {
	var redis *rueidis.RedisError
	if !errors.As(err, &redis) {
		return false
	}
	kind, _, _ := strings.Cut(redis.Error(), " ")
	return !slices.Contains(notServing, kind)
}

// misconfigured reports whether an error does not go away by waiting: the server is there, but
// refuses what a node needs, or it is another one than the URL says.
func misconfigured(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return refused(err) || errors.Is(err, errNameTaken) || errors.Is(err, ErrDiffers) || errors.Is(err, ErrOtherDatabase) || errors.As(err, &certificate) || errors.As(err, &record)
}

func noScript(err error) bool {
	redis, ok := rueidis.IsRedisErr(err)
	return ok && redis.IsNoScript()
}

// noMemory reports whether the server has refused a request because its memory is full: it refuses
// what may need more of it.
func noMemory(err error) bool {
	redis, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redis.Error(), "OOM ")
}

// do executes a script, and loads it first if the server does not have it.
func (e *engine) do(ctx context.Context, s *script, keys, args []string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	res := e.client.Do(ctx, s.call(e.client, keys, args))
	if noScript(res.Error()) {
		if err := e.load(ctx); err == nil {
			res = e.client.Do(ctx, s.call(e.client, keys, args))
		}
	}
	return res
}

// load makes all scripts known to all servers. It does not wait for replicas: they need them only
// when they become primaries, and may be out of reach.
func (e *engine) load(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	servers := e.client.Nodes()
	loaded := make(chan error, len(servers))
	primaries := 0
	for address, c := range servers {
		primary := !e.isReplica(address)
		if primary {
			primaries++
		}
		go func() {
			if err := loadScripts(ctx, c); primary {
				loaded <- err
			}
		}()
	}
	var failed error
	for range primaries {
		failed = cmp.Or(<-loaded, failed)
	}
	return failed
}

// loadScripts makes all scripts known to a server.
func loadScripts(ctx context.Context, c rueidis.Client) error {
	for _, s := range scripts {
		if err := c.Do(ctx, c.B().ScriptLoad().Script(s.text).Build()).Error(); err != nil && !readOnly(err) {
			return err
		}
	}
	return nil
}

// isReplica reports whether a server was a replica when runs has asked it.
func (e *engine) isReplica(address string) bool {
	replicas := e.replicas.Load()
	return replicas != nil && (*replicas)[address]
}

func readOnly(err error) bool {
	redis, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redis.Error(), "READONLY")
}

// runs identifies the runs of all primary servers. Another value means that a server was
// started again or replaced, and may have lost the last writes. It does not matter whether replicas
// can be reached.
func (e *engine) runs(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	servers := e.client.Nodes()
	infos := make(chan serverInfo, len(servers))
	for address, c := range servers {
		go func() { infos <- readInfo(ctx, address, c) }()
	}
	var ids []string
	var failed error
	replicas := make(map[string]bool)
	for range servers {
		s := <-infos
		if s.err != nil && !e.isReplica(s.address) {
			return "", s.err
		}
		if failed = cmp.Or(s.err, failed); s.primary {
			ids = append(ids, s.run)
		} else {
			replicas[s.address] = true
		}
	}
	if failed != nil && len(ids) == 0 {
		return "", failed // there must be a primary that has been a replica
	}
	e.replicas.Store(&replicas)
	slices.Sort(ids)
	return strings.Join(ids, " "), nil
}

// serverInfo is what a server says of itself.
type serverInfo struct {
	address string
	run     string // identifies it since its start
	primary bool
	err     error
}

func readInfo(ctx context.Context, address string, c rueidis.Client) serverInfo {
	res := c.DoMulti(ctx, c.B().Info().Section("server").Build(), c.B().Info().Section("replication").Build())
	server, err := res[0].ToString()
	replication, err2 := res[1].ToString()
	if err = cmp.Or(err, err2); err != nil {
		return serverInfo{address: address, err: err}
	}
	return serverInfo{address: address, run: infoField(server, "run_id"), primary: infoField(replication, "role") == "master"}
}

// infoField returns a line of the reply to INFO.
func infoField(text, name string) string {
	_, rest, _ := strings.Cut(text, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
