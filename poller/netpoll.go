//go:build linux

package poller

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"unsafe"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// netpoll exports its Poll and FDOperator but no way to open a Poll: its own
// connections, which it opens them for, cost 3 to 15 KB each and block the
// writer. This file is the only one that knows netpoll's insides; a test fails
// clearly when an update of netpoll changes them.

//go:linkname openPoll github.com/cloudwego/netpoll.openPoll
func openPoll() (netpoll.Poll, error)

func init() {
	// netpoll complains on its own output when a descriptor that we have
	// paused is hung up; that is expected here.
	netpoll.SetLoggerOutput(io.Discard)
}

// epollEvent, of netpoll_packed.go or netpoll_aligned.go, has the layout of netpoll's
// epollevent on this architecture, which tame checks, and of the kernel's, which the
// compiler checks here. netpoll has no other layouts: it does not work elsewhere, and
// this package does not compile.
var _ [unsafe.Sizeof(unix.EpollEvent{})]byte = [unsafe.Sizeof(epollEvent{})]byte{}

// errLayout says that netpoll is not what this file was written for.
var errLayout = errors.New("poller: this version of netpoll has other insides than 0.7.2")

// maxEvents bounds a poll's event array. netpoll doubles it whenever one wait
// fills it, up to 131,072 slots, and never shrinks it: a storm would cost more
// than all sessions.
const maxEvents = 1024

// tame opens a poll whose event array is bounded and has none of the 1.3 KB a
// slot that only netpoll's own connections need, and that calls begin and end on
// its own goroutine around every batch of events. It answers the poll's epoll
// descriptor, too.
func tame(begin func(), end func(closed bool)) (netpoll.Poll, int, error) {
	poll, err := openPoll()
	if err != nil {
		return nil, 0, fmt.Errorf("poller: open poll: %w", err)
	}
	v := reflect.ValueOf(poll)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, 0, errLayout
	}
	reset, handler := v.Elem().FieldByName("Reset"), v.Elem().FieldByName("Handler")
	fd := v.Elem().FieldByName("fd")
	if !fd.IsValid() || !fd.CanInt() || !reset.IsValid() || !handler.IsValid() || !sameEvent(handler.Type()) {
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
	// The type of the events is not exported, so that a func of it cannot be
	// written down here; one of a type with the same layout is called the same
	// way.
	slot := (*func([]epollEvent) bool)(handler.Addr().UnsafePointer())
	handle := *slot
	*slot = func(events []epollEvent) bool {
		begin()
		closed := handle(events)
		end(closed)
		return closed
	}
	return poll, int(fd.Int()), nil
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
