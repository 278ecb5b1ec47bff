// Package cluster connects the nodes that serve the same domains, on a Redis or Valkey
// server: a directory of the resources that are online, and a bus for items that nodes send
// each other. It implements router.Nodes.
//
// It knows accounts and resources as strings, and items as bytes. Time is that of the Redis
// server and this machine's monotonic clock; the wall clock of a node does not matter.
//
// Decision 56 has the design and the measurements.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"roost/router"
)

// Config is what Open needs. A zero field means its default, except URL and Name.
type Config struct {
	URL    string // redis://, rediss:// (TLS), or unix://; several addr= for Redis Cluster, master_set= for Sentinel
	Name   string // of this node; only one node with a name can run. 1 to 64 bytes
	Logger *slog.Logger

	// Lease is how long this node may be silent before the others treat it as dead. Default
	// 10 s, at least 100 ms.
	Lease time.Duration

	// Wait is how long an item waits for its node or for Redis before it is undelivered.
	// Default 30 s.
	Wait time.Duration

	CacheBytes  int64 // limit of the cache of lookups. Default 64 MiB
	QueueBytes  int   // limit of what waits for one node, and of what it has not handled. Default 8 MiB
	TotalBytes  int   // limit of the same for all nodes together. Default 64 MiB
	WriteBytes  int   // limit of the changes of the directory that wait. Default 16 MiB
	HandleBytes int   // limit of what was received and is not handled yet. Default 4 MiB
	Lanes       int   // goroutines that handle received items. Default 8
}

func (c *Config) setDefaults() error {
	if c.Name == "" || len(c.Name) > 64 {
		return errors.New("cluster: the name of a node must have 1 to 64 bytes")
	}
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
	if c.Lease < 100*time.Millisecond {
		return fmt.Errorf("cluster: the lease of a node must be at least 100ms, not %v", c.Lease)
	}
	return nil
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

	start   time.Time     // for the monotonic clock
	run     uint64        // the first epoch of this process: identifies it on the bus
	epoch   atomic.Uint64 // the current one
	renewed atomic.Int64  // when the last successful renewal began, in ns since start
	members atomic.Pointer[members]
	lease   leaseState // owned by the lease goroutine

	dirty     atomic.Bool // registrations may be missing in the directory
	rejoining atomic.Bool // the handler's Rejoined is running

	writes writes
	cache  *cache
	level  atomic.Int32 // of new entries in the index, see index
	count  atomic.Int64 // registrations of this node, about

	cleaning atomic.Pointer[cleaning] // what this node cleans up, if it does

	out outboxes
	in  inbox

	ctx    context.Context // ends at Close, for goroutines
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{} // of the lease goroutine

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the lease, its epoch, the members or the engine's state change
}

// Open connects to the Redis server and joins the cluster. It waits for up to one lease if
// another node has the name: it may have crashed. ctx limits the time until Open returns.
func Open(ctx context.Context, config Config, handler router.NodeHandler) (*Node, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	n := &Node{config: config, log: config.Logger, handler: handler, start: time.Now(), wake: make(chan struct{}, 1), changed: make(chan struct{})}
	n.cache = newCache(config.CacheBytes, &n.stats)
	n.writes.init(config.WriteBytes)
	n.out.byNode = make(map[uint64]*outbox)
	n.in.init()
	n.engine = newEngine(config, n.engineChanged)
	if err := n.engine.open(config, n.invalidated); err != nil {
		return nil, err
	}
	if err := n.joinFirst(ctx); err != nil {
		n.engine.close()
		return nil, err
	}
	n.run = n.epoch.Load()
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.tasks.Go(n.keepLease)
	n.tasks.Go(n.write)
	n.tasks.Go(n.receive)
	n.tasks.Go(n.acknowledge)
	return n, nil
}

// Close leaves the cluster. Registrations that are left are removed by the other nodes, as if
// this node had died, but at once. ctx limits how long Close waits for what is queued; it also
// waits until calls of the handler return.
func (n *Node) Close(ctx context.Context) {
	n.out.close()
	n.drainOutboxes(ctx)
	n.writes.drain(ctx)
	n.cancel()
	n.writes.close()
	n.out.tasks.Wait()
	n.tasks.Wait()
	if err := n.leave(ctx); err != nil {
		n.log.Warn("cannot end the lease of this node, the others notice when it is over", "error", err)
	}
	n.engine.close()
}

// Self is this node.
func (n *Node) Self() router.NodeID { return router.NodeID(n.epoch.Load()) }

// now is the time since Open, by the monotonic clock, which also runs while the process is
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
