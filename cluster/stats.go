package cluster

import (
	"sync/atomic"
	"time"
)

// counters are what Stats returns. They only grow.
type counters struct {
	hits, lookups, invalidations                         atomic.Uint64
	registrations, unregistrations, writeBatches, errors atomic.Uint64
	rejoined, cleanedNodes, cleaned                      atomic.Uint64

	sentItems, sentBatches, sentBytes, refusedItems, undelivered atomic.Uint64
	receivedItems, receivedBatches, receivedBytes, repeated      atomic.Uint64
}

// Stats are figures about this node's part of the cluster. Counters begin at 0 with the
// process.
type Stats struct {
	Nodes     int           // that are alive, with this one
	Others    []string      // names of the others
	Entries   int64         // of this node in the directory, about
	Differ    []string      // names of those that serve other domains
	Reachable bool          // whether the Redis server is, and this node has a lease
	LeaseAge  time.Duration // since the lease was renewed

	Hits          uint64 // lookups in memory that have found something
	Lookups       uint64 // accounts read from the directory
	Invalidations uint64 // accounts whose change was reported

	Registrations   uint64
	Unregistrations uint64
	WriteBatches    uint64 // pipelines of changes of the directory
	WriteBytes      int    // of the changes that wait
	Errors          uint64 // requests to the Redis server that have failed
	Rejoined        uint64 // times that the directory has lost this node
	CleanedNodes    uint64 // dead nodes that this one has cleaned up
	Cleaned         uint64 // entries of these that it has removed

	SentItems, SentBatches, SentBytes uint64 // that are in the streams of other nodes
	RefusedItems                      uint64 // there was no space in a queue
	Undelivered                       uint64 // items that were returned to this node
	QueueBytes                        int64  // of items that other nodes have not handled

	ReceivedItems, ReceivedBatches, ReceivedBytes uint64
	Repeated                                      uint64 // batches that were received again, and skipped
	HandleBytes                                   int    // of items that are not handled yet
}

// Stats returns the figures.
func (n *Node) Stats() Stats {
	n.writes.mu.Lock()
	waiting := n.writes.bytes
	n.writes.mu.Unlock()
	s := &n.stats
	m := n.members.Load()
	var others []string
	for _, id := range m.others {
		others = append(others, m.alive[uint64(id)])
	}
	return Stats{
		Nodes:           len(m.alive),
		Others:          others,
		Differ:          m.differ,
		Entries:         max(0, n.count.Load()),
		Reachable:       n.usable(),
		LeaseAge:        n.now() - time.Duration(n.renewed.Load()),
		Hits:            s.hits.Load(),
		Lookups:         s.lookups.Load(),
		Invalidations:   s.invalidations.Load(),
		Registrations:   s.registrations.Load(),
		Unregistrations: s.unregistrations.Load(),
		WriteBatches:    s.writeBatches.Load(),
		WriteBytes:      waiting,
		Errors:          s.errors.Load(),
		Rejoined:        s.rejoined.Load(),
		CleanedNodes:    s.cleanedNodes.Load(),
		Cleaned:         s.cleaned.Load(),
		SentItems:       s.sentItems.Load(),
		SentBatches:     s.sentBatches.Load(),
		SentBytes:       s.sentBytes.Load(),
		RefusedItems:    s.refusedItems.Load(),
		Undelivered:     s.undelivered.Load(),
		QueueBytes:      n.out.bytes.Load(),
		ReceivedItems:   s.receivedItems.Load(),
		ReceivedBatches: s.receivedBatches.Load(),
		ReceivedBytes:   s.receivedBytes.Load(),
		Repeated:        s.repeated.Load(),
		HandleBytes:     n.in.size(),
	}
}
