//go:build linux

// Package epoll is how package poller reaches the kernel: the polls and operators of
// netpoll without netpoll's connections, which cost 3 to 15 KB each and block the
// writer, and system calls that never block. Whatever needs netpoll's unexported
// parts, go:linkname, unsafe or reflect for that is here and nowhere else.
package epoll

import (
	"github.com/cloudwego/netpoll"
)

// Operator is a descriptor and the functions that a Poll calls for its events, with
// level-triggered reading. FD and the functions are set before the first Watch. They
// run on the poll's goroutine, except OnHup, which has a goroutine of its own: netpoll
// has removed the descriptor then.
//
// It is netpoll's own type, because a wrapper would cost memory for each connection.
type Operator = netpoll.FDOperator

// Source is what an Operator's functions are called with: netpoll's poll, of no use
// to them.
type Source = netpoll.Poll

// Poll is an epoll instance. All methods but Wait may be called from any goroutine.
type Poll struct {
	poll netpoll.Poll
	fd   int
}

// Open opens a Poll. begin and end are called around each batch of events, on the
// goroutine that is in Wait; closed reports that no other batch follows.
func Open(begin func(), end func(closed bool)) (*Poll, error) {
	poll, fd, err := open(begin, end)
	if err != nil {
		return nil, err
	}
	return &Poll{poll, fd}, nil
}

// FD returns the epoll descriptor.
func (p *Poll) FD() int { return p.fd }

// Wait handles events until Close.
func (p *Poll) Wait() error { return p.poll.Wait() }

// Wake has Wait handle a batch of events, which may be empty.
func (p *Poll) Wake() error { return p.poll.Trigger() }

// Close ends Wait.
func (p *Poll) Close() error { return p.poll.Close() }

// NewOperator returns an unused Operator for a descriptor.
func (p *Poll) NewOperator(fd int) *Operator {
	op := p.poll.Alloc()
	op.FD = fd
	return op
}

// Free takes back an Operator that is not watched any more. It must not be called
// from within one of the operator's functions: netpoll would spin for ever.
func (p *Poll) Free(op *Operator) { p.poll.Free(op) }

// WatchRead begins to call op.OnRead and op.OnHup.
func (p *Poll) WatchRead(op *Operator) error { return p.poll.Control(op, netpoll.PollReadable) }

// WatchWrite begins to call op.OnWrite and op.OnHup; OnWrite is edge-triggered.
func (p *Poll) WatchWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollWritable) }

// AddWrite calls op.OnWrite, too, of an operator that is watched for reading.
func (p *Poll) AddWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollR2RW) }

// RemoveWrite ends AddWrite.
func (p *Poll) RemoveWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollRW2R) }

// Unwatch removes an operator that is watched; nothing of it is called any more.
func (p *Poll) Unwatch(op *Operator) error { return p.poll.Control(op, netpoll.PollDetach) }
