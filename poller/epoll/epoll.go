//go:build linux

// Package epoll gives package poller access to the kernel: netpoll's polls and operators
// without netpoll's connections, which cost 3 to 15 KB each and block the writer, and
// system calls that never block. All code that needs netpoll's unexported parts, and
// with them go:linkname, unsafe or reflect, is in this package.
package epoll

import (
	"encoding/binary"
	"fmt"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// Operator is a descriptor and the functions that a Poll calls for its events, with
// level-triggered reading. The functions are set between Init and the first Watch. They run
// on the poll's goroutine, except OnHup, which runs on a separate goroutine after netpoll
// has removed the descriptor.
//
// It is netpoll's own type, because a wrapper would cost memory for each connection. It may be
// part of a larger object: netpoll's own operators (Poll.Alloc) are separate ones, which it
// never releases.
type Operator = netpoll.FDOperator

// Source is the parameter of an Operator's functions: netpoll's poll, which they do not
// need.
type Source = netpoll.Poll

// Poll is an epoll instance. All methods but Wait may be called from any goroutine.
type Poll struct {
	poll  netpoll.Poll
	fd    int
	waker Operator    // of an eventfd
	freed []*Operator // since the last batch of events; owned by the goroutine that is in Wait
}

// Open opens a Poll. begin and end are called around each batch of events, on the
// goroutine that is in Wait; closed reports that no other batch follows.
func Open(begin func(), end func(closed bool)) (*Poll, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: open: %w", err)
	}
	p := new(Poll)
	p.poll, p.fd, err = open(begin, p.release, end)
	if err == nil {
		p.Init(&p.waker, wake)
		p.waker.OnRead = func(Source) error {
			var count [8]byte
			_, err := Read(int32(wake), count[:])
			return err
		}
		err = p.WatchRead(&p.waker)
	}
	if err != nil {
		_ = unix.Close(wake)
		return nil, err
	}
	return p, nil
}

// FD returns the epoll descriptor.
func (p *Poll) FD() int { return p.fd }

// Wait handles events until Close.
func (p *Poll) Wait() error {
	err := p.poll.Wait()
	if err == nil { // otherwise there may be calls of Wake yet, and the number may be another file's
		_ = unix.Close(p.waker.FD)
	}
	return err
}

// Wake makes Wait handle a batch of events, which may be empty. It must not be called after
// Wait has returned. netpoll's own Trigger, and what it does in Wait, are system calls that Go's
// scheduler is told of: each wakes its monitor thread, which then runs every 20 us for a while.
func (p *Poll) Wake() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := Write(int32(p.waker.FD), one[:])
	return err
}

// Close ends Wait.
func (p *Poll) Close() error { return p.poll.Close() }

// Init prepares an Operator for a descriptor. Something must refer to the operator until Free:
// the garbage collector does not see that the kernel does.
func (p *Poll) Init(op *Operator, fd int) {
	*op = Operator{FD: fd}
	*pollOf(op) = p.poll
}

// Free ends the use of an Operator that is no longer watched: what is left of its events is
// ignored. It must be called on the goroutine that is in Wait, or after Wait, and not from
// within one of the operator's functions.
func (p *Poll) Free(op *Operator) {
	if !stateOf(op).CompareAndSwap(operatorInUse, operatorUnused) && stateOf(op).Load() != operatorUnused {
		panic("epoll: BUG: Free within a function of the operator")
	}
	p.freed = append(p.freed, op)
}

// release is called after a batch of events. Those of the batch were the last that may have
// pointed to freed operators.
func (p *Poll) release() {
	clear(p.freed)
	if p.freed = p.freed[:0]; cap(p.freed) > 1024 {
		p.freed = nil
	}
}

// WatchRead starts calling op.OnRead and op.OnHup.
func (p *Poll) WatchRead(op *Operator) error { return p.poll.Control(op, netpoll.PollReadable) }

// WatchWrite starts calling op.OnWrite and op.OnHup; OnWrite is edge-triggered.
func (p *Poll) WatchWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollWritable) }

// AddWrite also starts calling op.OnWrite of an operator that is watched for reading.
func (p *Poll) AddWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollR2RW) }

// RemoveWrite undoes AddWrite.
func (p *Poll) RemoveWrite(op *Operator) error { return p.poll.Control(op, netpoll.PollRW2R) }

// Unwatch stops watching an operator; none of its functions is called afterwards.
func (p *Poll) Unwatch(op *Operator) error { return p.poll.Control(op, netpoll.PollDetach) }
