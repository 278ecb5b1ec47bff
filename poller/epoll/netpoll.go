//go:build linux

package epoll

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// netpoll exports Poll and FDOperator but no way to open a Poll. This file is the
// only one that depends on netpoll's unexported parts; TestNetpollInternals fails
// when an update of netpoll changes them.

//go:linkname openPoll github.com/cloudwego/netpoll.openPoll
func openPoll() (netpoll.Poll, error)

func init() {
	// netpoll logs to its own output when a removed descriptor hangs up; here that is
	// expected.
	netpoll.SetLoggerOutput(io.Discard)
}

// epollEvent, of event_packed.go or event_aligned.go, has the layout of netpoll's
// epollevent on this architecture, which Open checks, and of the kernel's, which the
// compiler checks here. netpoll has no other layouts: it does not work elsewhere, and
// this package does not compile.
var _ [unsafe.Sizeof(unix.EpollEvent{})]byte = [unsafe.Sizeof(epollEvent{})]byte{}

// errLayout reports that netpoll is not the version that this file was written for.
var errLayout = errors.New("epoll: this version of netpoll differs from 0.7.2 in its unexported parts")

// maxEvents limits a poll's event array, in events. netpoll doubles the array whenever
// one wait fills it, up to 131,072 slots, and never shrinks it: a storm would cost more
// memory than all sessions.
const maxEvents = 1024

// What Init and Free need of an operator.
const (
	operatorUnused = 0 // netpoll ignores its events
	operatorInUse  = 1
)

// Offsets in an Operator, which checkOperator finds.
var (
	operatorPoll  uintptr
	operatorState uintptr
)

// pollOf returns the field of an operator with its poll.
func pollOf(op *Operator) *netpoll.Poll {
	return (*netpoll.Poll)(unsafe.Add(unsafe.Pointer(op), operatorPoll))
}

// stateOf returns the field of an operator with its state.
func stateOf(op *Operator) *atomic.Int32 {
	return (*atomic.Int32)(unsafe.Add(unsafe.Pointer(op), operatorState))
}

// checkOperator finds the fields that pollOf and stateOf return. It returns false if there are
// none of these types.
var checkOperator = sync.OnceValue(func() bool {
	t := reflect.TypeFor[Operator]()
	poll, ok := t.FieldByName("poll")
	state, found := t.FieldByName("state")
	operatorPoll, operatorState = poll.Offset, state.Offset
	return ok && found && poll.Type == reflect.TypeFor[netpoll.Poll]() && state.Type.Kind() == reflect.Int32
})

// open opens a netpoll.Poll and replaces two of its functions: Reset, which allocates
// the event array, so that the array is limited and has none of the 1.3 KB a slot that
// only netpoll's own connections need; and Handler, which handles a batch of events, so
// that begin is called before it on the poll's goroutine, and handled and end after it. It
// also returns the poll's epoll descriptor.
func open(begin, handled func(), end func(closed bool)) (poll netpoll.Poll, fd int, err error) {
	if !checkOperator() {
		return nil, 0, errLayout
	}
	poll, err = openPoll()
	if err != nil {
		return nil, 0, fmt.Errorf("epoll: open: %w", err)
	}
	v := reflect.ValueOf(poll)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, 0, errLayout
	}
	reset, handler := v.Elem().FieldByName("Reset"), v.Elem().FieldByName("Handler")
	number := v.Elem().FieldByName("fd")
	if !number.IsValid() || !number.CanInt() || !reset.IsValid() || !handler.IsValid() || !sameEvent(handler.Type()) {
		return nil, 0, errLayout
	}
	grow, ok := reset.Interface().(func(size, caps int))
	if !ok {
		return nil, 0, errLayout
	}
	reset.Set(reflect.ValueOf(func(size, _ int) {
		if size <= maxEvents {
			grow(size, 0)
		}
	}))
	// The type of the events is not exported, so a function type with it cannot be
	// written here; one with a type of the same layout is called in the same way.
	slot := (*func([]epollEvent) bool)(handler.Addr().UnsafePointer())
	handle := *slot
	*slot = func(events []epollEvent) bool {
		begin()
		closed := handle(events)
		handled()
		end(closed)
		return closed
	}
	return poll, int(number.Int()), nil
}

// sameEvent reports whether t is func([]event) bool with an event of the layout
// of epollEvent.
func sameEvent(t reflect.Type) bool {
	if t.Kind() != reflect.Func || t.NumIn() != 1 || t.NumOut() != 1 || t.Out(0).Kind() != reflect.Bool ||
		t.In(0).Kind() != reflect.Slice {
		return false
	}
	got, want := t.In(0).Elem(), reflect.TypeFor[epollEvent]()
	if got.Kind() != reflect.Struct || got.NumField() != want.NumField() || got.Size() != want.Size() {
		return false
	}
	for i := range want.NumField() {
		if got.Field(i).Type != want.Field(i).Type || got.Field(i).Offset != want.Field(i).Offset {
			return false
		}
	}
	return unsafe.Sizeof(epollEvent{}) == got.Size()
}
