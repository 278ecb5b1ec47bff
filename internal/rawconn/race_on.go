//go:build race

package rawconn

import "sync/atomic"

// The race detector takes the system calls of package syscall for synchronization, since what one
// goroutine has written before a request happens before what another one does after the reply. These
// functions make it do the same here.

var synchronized atomic.Int64

func beforeWrite() { synchronized.Add(1) }

func afterRead() { synchronized.Load() }
