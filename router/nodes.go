package router

import (
	"context"
	"errors"
)

// NodeID identifies one run of a node: when a node starts again, it gets another. 0 is no
// node.
type NodeID uint64

// Place is a resource of an account on another node.
type Place struct {
	Resource  string
	Node      NodeID
	Available bool // it has sent presence
	Priority  int8 // if it is available
}

// Nodes connects this node with the others that serve the same domains. Package cluster
// implements it. A server that is alone has none.
//
// Accounts are bare JIDs, resources are normalized. Those that are passed to Cached, Places,
// Current, CurrentAll and Send may be borrowed: their memory is used again after the call. All methods may
// be called from any goroutine. Those without a context do not block.
type Nodes interface {
	// Cached returns the places of an account on other nodes, if they are in memory. They
	// may be outdated by the time it takes until another node's change gets here. The
	// result is shared, and must not be changed.
	Cached(account string) (places []Place, ok bool)

	// Places returns the places of several accounts on other nodes, in the order of
	// accounts. All that are not in memory are read in one round trip. It returns
	// ErrNoDirectory if they cannot be read.
	Places(ctx context.Context, accounts []string) ([][]Place, error)

	// Current is Places for one account, read from the directory even if it is in memory:
	// it has whatever was registered before the call.
	Current(ctx context.Context, account string) ([]Place, error)

	// CurrentAll is Current for several accounts, in the order of accounts and in one round trip.
	CurrentAll(ctx context.Context, accounts []string) ([][]Place, error)

	// Register enters a resource of this node in the directory. If another node has the same
	// resource, what happens depends on r. Without a directory it returns ErrNoDirectory;
	// then the resource is registered when there is one again (see LostEntries).
	Register(ctx context.Context, account, resource string, r Registration) (Registered, error)

	// Update changes the availability of a resource of this node, and Unregister removes it.
	// They are queued, and take effect in the order of the calls. If the resource is
	// registered by another node in the meantime, they change nothing.
	Update(account, resource string, available bool, priority int8)
	Unregister(account, resource string)

	// Send queues an item for another node, and reports whether there was space in the
	// queue. item is copied. Items that are sent to a node for the same account are handled
	// there one after the other, in the order of the calls, and each once as long as both
	// nodes run. An item that cannot be delivered is returned to this node's
	// NodeHandler.Undelivered.
	Send(to NodeID, account string, item []byte) bool

	// Self is this node, and Others are the other nodes that are alive.
	Self() NodeID
	Others() []NodeID
}

// ErrNoDirectory is returned while the directory of the cluster cannot be reached.
var ErrNoDirectory = errors.New("the directory of the cluster cannot be reached")

// Registration says how a resource is registered.
type Registration struct {
	Replace      bool   // take the resource from another node that has it; otherwise it is refused
	From         NodeID // unless it is 0: take the resource from this node only, with its availability and priority
	MaxResources int    // of the account, on all nodes together
	Here         int    // how many of these are on this node, without this one
}

// Registered is the result of a registration.
type Registered struct {
	Taken    bool    // refused: another node has the resource
	Full     bool    // refused: the account has too many resources
	Known    bool    // this node had registered the resource before
	Replaced Place   // with Registration.Replace or From: where the resource was; its Node is 0 if it was on no other node
	Died     Place   // where the resource was on a node that has died, so that Died is not called for it; its Node is 0 if it was on none
	Places   []Place // the account's other resources on other nodes
}

// NodeHandler handles what comes from other nodes; Router implements it. All methods may
// block, and are called from several goroutines.
type NodeHandler interface {
	// NewLane returns a handler of items. There may be several: the items that a node has
	// sent for the same account belong to the same one.
	NewLane() NodeLane

	// Undelivered handles an item that Send has accepted, and that was not delivered: the
	// node has died, or it could not be reached in time. item is borrowed. The items that a
	// node which died had not handled are passed to one of the others, with again true: that
	// node may have handled them, but not yet said so.
	Undelivered(to NodeID, account string, item []byte, again bool)

	// Died is called on one of the remaining nodes, for some of the resources that were
	// registered by a node that has died, after they were removed from the directory: once for
	// each resource, and never at the same time for two of one account. all is borrowed.
	Died(node NodeID, all []Death)

	// Rejoined is called when the directory can be reached again after it could not, or has
	// lost data; lost says what has to be repeated. The node may have a new NodeID. Calls
	// follow each other, and return soon when ctx ends.
	Rejoined(ctx context.Context, lost Lost)
}

// Death is a resource of a node that has died.
type Death struct {
	Account string
	Place   Place // where it was
}

// Lost says what a node has to repeat after it had lost its connection with the others. Each
// value includes those before it.
type Lost uint8

// The values of Lost.
const (
	LostTime     Lost = iota + 1 // what could not be looked up
	LostEntries                  // registrations: resources of this node may be missing in the directory
	LostPresence                 // presence, of this node's resources at others and of theirs here: it is unknown what has not arrived
)

// NodeLane handles items that other nodes have sent, one after the other. One goroutine uses
// it. Its methods may block.
type NodeLane interface {
	// Item handles an item for an account. item is borrowed.
	Item(from NodeID, account string, item []byte)

	// Flush writes what the items have queued for clients. It is called when no item is
	// waiting, and at least after every few hundred.
	Flush()
}
