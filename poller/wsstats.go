//go:build linux

package poller

import (
	"net/http"
	"sync/atomic"
)

// FrameFailure is a reason why a WebSocket connection ended because of what the client sent.
type FrameFailure uint8

// The reasons. Each has a close code (RFC 6455 section 7.4.1).
const (
	FrameProtocol FrameFailure = iota // 1002: a frame is not as the protocol requires
	FrameBinary                       // 1003: a message is not text
	FrameEncoding                     // 1007: text is not UTF-8
	FrameTooBig                       // 1009: a frame, or what is in messages, is too large
	FrameFailures                     // number of reasons
)

// String returns the reason as one word.
func (f FrameFailure) String() string {
	return [FrameFailures]string{"protocol", "binary", "encoding", "too-big"}[f]
}

// webSocketCounters count what happens on listeners for WebSocket.
type webSocketCounters struct {
	open, upgraded, pages, refused atomic.Int64
	failures                       [FrameFailures]atomic.Int64
}

// responded counts a response other than an upgrade.
func (x *webSocketCounters) responded(status int) {
	if status == http.StatusOK {
		x.pages.Add(1)
	} else {
		x.refused.Add(1)
	}
}

// failed counts a connection that ends with a close code, if that is one of a reason.
func (x *webSocketCounters) failed(code uint16) {
	switch code {
	case 1002:
		x.failures[FrameProtocol].Add(1)
	case 1003:
		x.failures[FrameBinary].Add(1)
	case 1007:
		x.failures[FrameEncoding].Add(1)
	case 1009:
		x.failures[FrameTooBig].Add(1)
	}
}

func (x *webSocketCounters) snapshot(s *Stats) {
	s.WebSocketConns, s.WebSockets = x.open.Load(), x.upgraded.Load()
	s.WebSocketPages, s.WebSocketRefused = x.pages.Load(), x.refused.Load()
	for i := range s.WebSocketFailures {
		s.WebSocketFailures[i] = x.failures[i].Load()
	}
}
