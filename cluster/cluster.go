// Package cluster connects the nodes that serve the same domains, on a Redis or Valkey
// server: a directory of the resources that are online, and a bus for items that nodes send
// each other. It implements router.Nodes.
//
// It knows accounts and resources as strings, and items as bytes. Time is that of the Redis
// server and this machine's monotonic clock; the wall clock of a node does not matter.
//
// docs/decisions/0056-cluster-engine.md has the design and the measurements.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roost/router"
)

// Config configures a Node. A zero field means its default, except URL and Name.
type Config struct {
	// URL names the Redis server: redis://, rediss:// (TLS), or unix://; with several addr= for
	// Redis Cluster, and with master_set= for Sentinel.
	URL string `reload:"no: the node has joined the cluster"`

	// Name is the name of this node. Only one node with a name can run: see CheckName.
	Name string `reload:"no: the node has joined the cluster with it"`

	// Logger gets the log; nil discards it.
	Logger *slog.Logger `reload:"-"`

	// Shared is what all nodes must have in common, or a hash of it: a node cannot join while
	// others run that have another value.
	Shared string `reload:"-"`

	// Database identifies the database, which all nodes share: a node cannot join while others run
	// that use another one. "" is not compared.
	Database string `reload:"-"`

	// Domains is a hash of the domains that are served. A node whose domains differ from those of
	// others logs it: while the list is being changed, they do. "" is not compared.
	Domains string `reload:"-"`

	// Lease is how long this node may be silent before the others treat it as dead. Default
	// 10 s, at least 100 ms.
	Lease time.Duration `reload:"no: all nodes of a cluster have the same"`

	// Wait is how long an item waits for its node or for Redis before it is undelivered.
	// Default 30 s.
	Wait time.Duration `reload:"no: it is used from the start"`

	// CacheBytes limits the cache of lookups. Default 64 MiB.
	CacheBytes int64 `reload:"no: the cache is made at the start"`

	// QueueBytes limits the items that wait for one node or that it has not handled yet, and
	// TotalBytes those for all nodes together. Defaults 8 MiB and 64 MiB.
	QueueBytes int `reload:"no: the queues are made at the start"`
	TotalBytes int `reload:"no: the queues are made at the start"`

	// WriteBytes limits the changes of the directory that wait. Default 16 MiB.
	WriteBytes int `reload:"no: the queue is made at the start"`

	// HandleBytes limits the items that were received and are not handled yet. Default 4 MiB.
	HandleBytes int `reload:"no: it is used from the start"`

	// Lanes is the number of goroutines that handle received items. Default 8.
	Lanes int `reload:"no: the goroutines start with the node"`
}

// WithDefaults returns c with defaults for the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	defaultTo(&c.Lease, 10*time.Second)
	defaultTo(&c.Wait, 30*time.Second)
	defaultTo(&c.CacheBytes, 64<<20)
	defaultTo(&c.QueueBytes, 8<<20)
	defaultTo(&c.TotalBytes, 64<<20)
	defaultTo(&c.WriteBytes, 16<<20)
	defaultTo(&c.HandleBytes, 4<<20)
	defaultTo(&c.Lanes, 8)
	return c
}

// minLease is the shortest lease: requests must be possible several times in it.
const minLease = 100 * time.Millisecond

// maxName is the length of the longest name of a node, in bytes.
const maxName = 64

// CheckName returns what is wrong with the name of a node: it must have 1 to 64 letters,
// digits, dots, hyphens and underscores of ASCII, as a host name has.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q is not a name for a node: it must have 1 to %d letters, digits, dots, hyphens and underscores", name, maxName)
	}
	return nil
}

// CheckURL returns what is wrong with the URL of a Redis server, without its password.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Node is this node's part of the cluster. Its methods may be called from any goroutine.
type Node struct {
	config  Config
	log     *slog.Logger
	handler router.NodeHandler
	engine  *engine
	stats   counters

	started   bool          // Start has succeeded
	start     time.Time     // for the monotonic clock
	run       uint64        // the first epoch of this process: identifies it on the bus; 0 until then. Immutable once the engine is up
	epoch     atomic.Uint64 // the current one
	renewed   atomic.Int64  // when the last successful renewal began, in ns since start
	members   atomic.Pointer[members]
	lease     leaseState // owned by the lease goroutine
	domains   atomic.Pointer[string]
	newcomers newcomers

	lost      atomic.Uint32 // a router.Lost that the handler does not know of yet, or 0
	rejoining atomic.Bool   // the handler's Rejoined is running

	writes writes
	cache  *cache
	full   atomic.Bool  // the engine has refused a registration since the last renewal, because it has no memory left
	level  atomic.Int32 // of new entries in the index, see index
	count  atomic.Int64 // registrations of this node, about

	cleaning atomic.Pointer[cleaning] // what this node cleans up, if it does

	out  outboxes
	in   inbox
	idle time.Duration // how long an outbox without items remains

	ctx    context.Context // ends at Close, for goroutines
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	taking     context.Context // ends before ctx, for what takes items of other nodes
	stopTaking context.CancelFunc
	takers     sync.WaitGroup

	wake chan struct{} // of the lease goroutine

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the lease, its epoch, the members or the engine's state change
}

// New returns a node that is not part of the cluster yet: until Start, its methods behave as
// they do while the Redis server is out of reach. It connects to nothing. handler is called
// from Start on.
func New(config Config, handler router.NodeHandler) (*Node, error) {
	config = config.WithDefaults()
	if err := errors.Join(CheckURL(config.URL), CheckName(config.Name)); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if config.Lease < minLease {
		return nil, fmt.Errorf("cluster: the lease of a node must be at least %v, not %v", minLease, config.Lease)
	}
	n := &Node{config: config, log: config.Logger, handler: handler, start: time.Now(), idle: idleOutbox, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	n.renewed.Store(-int64(config.Lease)) // it has none
	n.members.Store(&members{first: config.Lease})
	n.domains.Store(&config.Domains)
	n.cache = newCache(config.CacheBytes, &n.stats)
	n.writes.init(config.WriteBytes)
	n.out.byNode = make(map[uint64]*outbox)
	n.in.init()
	n.engine = newEngine(config, n.engineChanged)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.taking, n.stopTaking = context.WithCancel(n.ctx)
	return n, nil
}

// Start connects to the Redis server and joins the cluster. If another node has the name, Start
// waits for up to one lease, because that node may have crashed. It is not an error if the
// server cannot be reached: the node joins as soon as it can. It is an error if the server
// refuses what a node needs, or if another node with the name is running; then the node cannot
// be used. ctx limits the time until Start returns.
func (n *Node) Start(ctx context.Context) error {
	if err := n.joinFirst(ctx); err != nil {
		if misconfigured(err) || ctx.Err() != nil {
			n.cancel()
			n.engine.close()
			n.cache.close()
			return err
		}
		n.log.Warn("this node serves only its own clients until the Redis server of the cluster can be reached", "err", err)
	}
	n.tasks.Go(n.keepLease)
	n.tasks.Go(n.write)
	n.takers.Go(n.receive)
	n.tasks.Go(n.acknowledge)
	n.started = true
	return nil
}

// Close leaves the cluster, if the node has been started. As if this node had died, but at once,
// the other nodes remove its remaining registrations, and get back the items that are left in
// its stream. ctx limits how long Close waits for what is queued; it also waits until calls of
// the handler return.
func (n *Node) Close(ctx context.Context) {
	if !n.started {
		n.cache.close()
		return
	}
	n.stopTaking() // what has arrived may cause items for other nodes
	n.takers.Wait()
	n.out.close()
	n.drainOutboxes(ctx)
	if n.usable() { // otherwise the others remove the entries
		n.writes.drain(ctx)
	}
	n.cancel()
	n.writes.close()
	n.out.tasks.Wait()
	n.tasks.Wait()
	if err := n.leave(ctx); err != nil && n.run != 0 {
		n.log.Warn("cannot end the lease of this node, the others notice when it is over", "err", err)
	}
	n.engine.close()
	n.cache.close()
}

// Self is this node.
func (n *Node) Self() router.NodeID { return router.NodeID(n.epoch.Load()) }

// now is the time since New, by the monotonic clock, which also runs while the process is
// stopped.
func (n *Node) now() time.Duration { return time.Since(n.start) }

// leased reports whether no other node can treat this one as dead yet. It is asked before
// anything that a dead node must not do.
func (n *Node) leased() bool {
	return n.now()-time.Duration(n.renewed.Load()) < n.config.Lease
}

// usable reports whether requests to the engine make sense now.
func (n *Node) usable() bool { return n.engine.up.Load() && n.leased() }

// notify wakes everything that waits for a change.
func (n *Node) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// whenChanged returns a channel that is closed at the next change.
func (n *Node) whenChanged() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// hurry makes the lease goroutine look at the engine now.
func (n *Node) hurry() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// engineChanged is called when the engine becomes unreachable.
func (n *Node) engineChanged() {
	n.log.Warn("the Redis server of the cluster cannot be reached")
	n.cache.clear()
	n.notify()
	n.hurry()
}
