package router

import (
	"slices"

	"roost/session"
	"roost/store"
)

// unsentRequests holds the subscription requests that are still to be sent to a client which
// has to wait. It is owned by the goroutine that handles the session's input.
var unsentRequests = session.NewSlot[pendingRequests]()

type pendingRequests struct {
	from []string // their senders; nil: all
}

// continueRequests sends the requests for which the client has had to wait.
func (r *Router) continueRequests(t *session.Turn, s *session.Session) {
	p := unsentRequests.Get(s)
	if p == nil {
		return
	}
	from := p.from
	unsentRequests.Drop(s)
	r.sessions.Offload(t, s, session.Read, func(t *session.Turn) { r.sendRequests(t, s, from) })
}

// sendRequestsLater reports whether the client has to wait for requests already. Then it gets all of
// them when it has read and acknowledged enough, however often it becomes available until then.
func sendRequestsLater(s *session.Session) bool {
	p := unsentRequests.Get(s)
	if p != nil {
		p.from = nil
	}
	return p != nil
}

// saveRequests appends something if the client is still to be sent requests.
func saveRequests(dst []byte, s *session.Session) []byte {
	if unsentRequests.Get(s) != nil {
		dst = append(dst, 1)
	}
	return dst
}

// restoreRequests makes the session send its client all requests when the client is back: some
// of them twice, rather than some never.
func (r *Router) restoreRequests(s *session.Session, _ []byte) error {
	unsentRequests.Make(s).from = nil
	s.OnDrain(func(t *session.Turn) { r.continueRequests(t, s) })
	return nil
}

// sendRequests delivers an account's pending subscription requests to a resource that has
// become available (RFC 6121 section 3.1.3,
// https://www.rfc-editor.org/rfc/rfc6121#section-3.1.3), as fast as the client reads: a few
// hundred requests can exceed an outbox. While the client has to read, only the senders of
// the remaining requests are kept in memory. Requests that were granted or denied in the
// meantime are not delivered. only restricts the requests to these senders; nil means all.
func (r *Router) sendRequests(t *session.Turn, s *session.Session, only []string) {
	t.Flush() // do not delay what is queued for others
	requests, err := r.config().Store.SubscriptionRequests(r.ctx, s.JID().Bare())
	if err != nil {
		r.LogError("subscription requests could not be read", s.FullJID(), err)
		return
	}
	if len(requests) > 0 {
		if ok, err := r.mayHave(s); !ok {
			if err != nil {
				r.LogError("account could not be read", s.FullJID(), err)
			}
			return
		}
	}
	if list := blocklistOf(s); list != nil {
		requests = slices.DeleteFunc(requests, func(q store.Request) bool { return list.Blocks(q.From) })
	}
	if only != nil {
		requests = slices.DeleteFunc(requests, func(q store.Request) bool { return !slices.Contains(only, q.From.String()) })
	}
	for i := range requests {
		if !Available(s) {
			return
		}
		if r.mustWait(s, len(requests[i].Stanza)) {
			if sendRequestsLater(s) {
				return
			}
			left := unsentRequests.Make(s)
			for _, q := range requests[i:] {
				left.from = append(left.from, q.From.String())
			}
			r.whenReady(s, func(t *session.Turn) { r.continueRequests(t, s) })
			return
		}
		s.SendBytes(t, requests[i].Stanza)
	}
}
