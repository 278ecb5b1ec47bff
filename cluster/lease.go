package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"roost/router"
)

// nodesKey is the hash of all nodes.
const nodesKey = "roost:{nodes}"

// leaseState is owned by the lease goroutine.
type leaseState struct {
	gen       string // of the data of the engine
	runs      string // of its servers
	unnoted   bool   // the engine may not know the level of this node's index
	complaint string // the last one in the log, if it still applies

	differs time.Duration // since when there are nodes with other domains; 0: there are none
	told    string        // names of these that the log has

	// The data was lost, and until this time the other nodes may not have noticed.
	grace time.Duration
}

// nodesReply is what the script returns.
type nodesReply struct {
	status string
	left   time.Duration // with status "held": until the lease of the other node is over
	gen    string
	fields map[string]string
	now    int64 // ms
	id     uint64
}

// nodes executes an operation on the nodes. target is the node that it is about, if that is
// another one; to join and to renew, it is the newest that this node knows.
func (n *Node) nodes(ctx context.Context, op string, epoch, target uint64) (r nodesReply, err error) {
	gen := ""
	if op == "join" || op == "renew" {
		gen = n.lease.gen
	}
	res, err := n.engine.do(ctx, nodesScript, []string{nodesKey}, []string{op, n.config.Name, strconv.FormatUint(epoch, 10),
		strconv.FormatInt(n.config.Lease.Milliseconds(), 10), gen, strconv.FormatUint(target, 10), n.config.Shared, n.config.Database, *n.domains.Load()}).ToArray()
	if err != nil {
		return r, err
	}
	if len(res) != 6 {
		return r, fmt.Errorf("the script for nodes has returned %d values", len(res))
	}
	r.status, _ = res[0].ToString()
	left, _ := res[1].AsInt64()
	r.left = time.Duration(left) * time.Millisecond
	r.now, _ = res[2].AsInt64()
	r.id, _ = res[3].AsUint64()
	r.gen, _ = res[4].ToString()
	r.fields, err = res[5].AsStrMap()
	return r, err
}

var errNameTaken = errors.New("each node needs a name of its own: stop the other, or change the name of this one")

// ErrDiffers is the error of a node whose Config.Shared is not that of the others.
var ErrDiffers = errors.New("the other nodes are configured differently")

// ErrOtherDatabase is the error of a node whose Config.Database is not that of the others.
var ErrOtherDatabase = errors.New("the other nodes use another database: give all of them the same --store, or stop all of them once if it was replaced")

// joinFirst makes this node one of the cluster.
func (n *Node) joinFirst(ctx context.Context) error {
	for again := false; ; again = true {
		r, err := n.enter(ctx)
		if err != nil {
			return err
		}
		if r.status != "held" {
			return nil
		}
		if again {
			return fmt.Errorf("cluster: another node with the name %q is running: %w", n.config.Name, errNameTaken)
		}
		n.log.Info("waiting for the lease of an earlier run of this node", "node", n.config.Name, "wait", r.left)
		select {
		case <-time.After(r.left + 10*time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("cluster: another node with the name %q has renewed its lease %v ago: %w", n.config.Name, n.config.Lease-r.left, ctx.Err())
		}
	}
}

// enter connects to the engine, if there is no connection yet, and joins for the first time,
// unless the status is "held".
func (n *Node) enter(ctx context.Context) (r nodesReply, err error) {
	if n.engine.lookups == nil {
		if err := n.engine.open(n.config, n.invalidated); err != nil {
			return r, err
		}
	}
	if n.lease.gen == "" {
		n.lease.gen = rand.Text()
	}
	if n.lease.runs, err = n.engine.runs(ctx); err != nil {
		return r, fmt.Errorf("cluster: cannot read what the Redis server is: %w", err)
	}
	if r, err = n.join(ctx); err != nil {
		return r, fmt.Errorf("cluster: cannot join: %w", err)
	}
	if r.status != "held" {
		n.run = n.epoch.Load()
		n.engine.up.Store(true)
		n.notify()
	}
	return r, nil
}

// join gets a new epoch, unless the status is "held".
func (n *Node) join(ctx context.Context) (nodesReply, error) {
	begin := n.now()
	r, err := n.nodes(ctx, "join", 0, n.members.Load().known)
	if err == nil {
		switch r.status {
		case "differs":
			err = ErrDiffers
		case "elsewhere":
			err = ErrOtherDatabase
		}
	}
	if err != nil || r.status == "held" {
		return r, err
	}
	epoch, err := strconv.ParseUint(r.status, 10, 48)
	if err != nil {
		return r, fmt.Errorf("the epoch %q is not a number: %w", r.status, err)
	}
	n.epoch.Store(epoch)
	n.renewed.Store(int64(begin))
	n.setMembers(r)
	return r, nil
}

// leave ends the lease of this node.
func (n *Node) leave(ctx context.Context) error {
	if !n.engine.up.Load() {
		return router.ErrNoDirectory
	}
	_, err := n.nodes(ctx, "leave", n.epoch.Load(), 0)
	return err
}

// keepLease renews the lease of this node four times in its time, and looks at the others.
func (n *Node) keepLease() {
	for {
		timer := time.NewTimer(n.renew())
		select {
		case <-n.ctx.Done():
			timer.Stop()
			return
		case <-n.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// renew renews the lease, and returns the time until it is to be called again.
func (n *Node) renew() time.Duration {
	if n.run == 0 {
		return n.enterLate()
	}
	begin, before := n.now(), time.Duration(n.renewed.Load())
	r, err := n.nodes(n.ctx, "renew", n.epoch.Load(), n.members.Load().known)
	if err == nil && (r.status == "dead" || r.status == "held") {
		if r, err = n.join(n.ctx); err == nil && r.status != "held" {
			n.joinedAgain()
		}
	}
	if n.engine.failed(err) {
		if misconfigured(err) && !noScript(err) {
			n.complain("this node cannot be a part of the cluster", err)
		}
		return n.retryTime()
	}
	if r.status == "held" {
		n.complain("another node has taken the name of this one while it was out of reach", errNameTaken)
		return n.config.Lease / 4
	}
	n.lease.complaint = ""
	n.renewed.Store(int64(max(begin, time.Duration(n.renewed.Load()))))
	lapsed := n.now()-before >= n.config.Lease // also if that was during the request: what has seen it waits
	n.full.Store(false)                        // the next registration finds out
	n.setMembers(r)
	n.compareDomains()
	if r.status == "lost" {
		n.log.Warn("the Redis server has lost the directory of the cluster: registering again")
		n.cache.clear()
		n.stats.rejoined.Add(1)
		n.lease.unnoted = true
		n.lose(router.LostPresence)
		n.in.again.Store(true)
	}
	if lapsed { // also if the server was there, but has refused the renewals
		n.outOfReach(begin - before)
	}
	suspect := n.engine.suspect.Load()
	if suspect && !n.compareRuns() {
		if lapsed {
			n.notify()
		}
		return n.retryTime() // one of several servers is out of reach
	}
	if n.engine.up.CompareAndSwap(false, true) {
		n.log.Info("the Redis server of the cluster can be reached again")
		n.outOfReach(begin - before)
		lapsed = true
	}
	n.noteLevelAgain()
	if lapsed || suspect {
		n.notify()
	}
	n.rejoin()
	n.cleanDead()
	return untilRenewal(n.config.Lease, n.members.Load().first)
}

// joinedAgain forgets what belongs to the epoch before, which has died.
func (n *Node) joinedAgain() {
	n.log.Warn("the other nodes treated this one as dead: it has joined again", "node", n.config.Name)
	n.stats.rejoined.Add(1)
	n.cache.clear()
	n.count.Store(0)
	n.lease.unnoted = true
	n.lose(router.LostPresence)
}

// outOfReach records what may have been lost while no request has succeeded for some time.
func (n *Node) outOfReach(d time.Duration) {
	n.lose(router.LostTime)
	if d >= n.config.Wait {
		n.lose(router.LostPresence) // items were returned
	}
}

// untilRenewal is the time until a lease is to be renewed. If the lease of another node may be over
// before that, it is just after that: the contacts of its clients should not wait longer. first is
// the time until then.
func untilRenewal(lease, first time.Duration) time.Duration {
	return min(lease/4, max(first+5*time.Millisecond, lease/100))
}

// retryTime is how long to wait after a request that has failed.
func (n *Node) retryTime() time.Duration { return max(n.config.Lease/20, 10*time.Millisecond) }

// enterLate is enter for a node that could not when it was started.
func (n *Node) enterLate() time.Duration {
	r, err := n.enter(n.ctx)
	switch {
	case err != nil && misconfigured(err):
		n.complain("this node cannot be a part of the cluster", err)
		return n.config.Lease / 4
	case err != nil:
		return n.retryTime()
	case r.status == "held":
		n.complain("another node has the name of this one", errNameTaken)
		return n.config.Lease / 4
	}
	n.lease.complaint = ""
	n.log.Info("this node has joined the cluster", "node", n.config.Name)
	n.lose(router.LostPresence)
	n.rejoin()
	return n.config.Lease / 4
}

// complain logs an error that an operator has to see to, once until it has changed or ended.
func (n *Node) complain(what string, err error) {
	text := what + ": " + err.Error()
	if text != n.lease.complaint && n.ctx.Err() == nil {
		n.log.Error(what, "node", n.config.Name, "err", err)
		n.lease.complaint = text
	}
}

// compareRuns finds out whether the servers are the same as before. Otherwise they may have
// lost the last changes: a replica that becomes the primary has not got all of them. It reports
// whether it could.
func (n *Node) compareRuns() bool {
	n.engine.suspect.Store(false) // if a connection is lost from here on, again
	runs, err := n.engine.runs(n.ctx)
	if n.engine.failed(err) {
		n.engine.suspect.Store(true)
		return false
	}
	if runs != n.lease.runs {
		n.log.Warn("the Redis server was started again or replaced: registering again")
		n.lease.runs = runs
		n.lease.unnoted = true
		n.in.again.Store(true)
		n.lose(router.LostEntries)
	}
	return true
}

// lose records that something may have been lost, of which the handler has to be told.
func (n *Node) lose(lost router.Lost) {
	if lost >= router.LostPresence {
		n.out.repeated.Store(int64(n.now())) // first: what is missed until now is repeated
	}
	for {
		before := n.lost.Load()
		if uint32(lost) <= before || n.lost.CompareAndSwap(before, uint32(lost)) {
			return
		}
	}
}

// Repeat makes the handler repeat something, as after a loss. It is for resources that could not
// be registered when they were bound.
func (n *Node) Repeat(lost router.Lost) {
	n.lose(lost)
	n.hurry()
}

// rejoin tells the handler what was lost, on a goroutine of its own, one at a time.
func (n *Node) rejoin() {
	if n.lost.Load() == 0 || !n.rejoining.CompareAndSwap(false, true) {
		return
	}
	lost := router.Lost(n.lost.Swap(0))
	n.tasks.Go(func() {
		if lost >= router.LostEntries {
			_ = n.recount(n.ctx) // otherwise next time
		}
		n.handler.Rejoined(n.ctx, lost)
		n.rejoining.Store(false)
	})
}

// invalidated handles a message of the server that keys have changed; nil means all, also
// when a connection was lost. It is called by the goroutine that reads the connection.
func (n *Node) invalidated(keys []rueidis.RedisMessage) {
	if keys == nil {
		n.cache.clear()
		n.engine.suspect.Store(true)
		n.hurry()
		return
	}
	for _, key := range keys {
		if text, err := key.ToString(); err == nil {
			n.cache.remove(accountOf(text))
		}
	}
}
