package router

import (
	"iter"

	"roost/jid"
	"roost/session"
)

// Everything that is sent to an account's resources, or depends on which ones exist, finds
// them with these functions.

// Recipients returns the resources of an account for which which returns true, in no
// particular order. Resources that appear or leave during the iteration may be included or
// not.
func (r *Router) Recipients(account string, which func(*session.Session) bool) iter.Seq[*session.Session] {
	return func(yield func(*session.Session) bool) {
		for s := r.sessions.First(account); s != nil; s = s.Next() {
			if which(s) && !yield(s) {
				return
			}
		}
	}
}

// Connected is true for a resource that is bound and whose client has the bind result.
func Connected(s *session.Session) bool { return s.Bound() }

// Available is true for a connected resource that has sent presence.
func Available(s *session.Session) bool { return s.Available() && s.Bound() }

// NonNegative is true for an available resource that gets messages to its bare JID (RFC
// 6121 section 8.5.2.1.1, https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.1.1).
func NonNegative(s *session.Session) bool { return s.Available() && s.Priority() >= 0 && s.Bound() }

// Interested is true for a connected resource that has requested the roster: it gets roster
// pushes (RFC 6121 section 2.2, https://www.rfc-editor.org/rfc/rfc6121#section-2.2).
func Interested(s *session.Session) bool { return interested.Has(s) && s.Bound() }

// Everyone is true for all resources, also for a resource that is being bound or was replaced.
func Everyone(*session.Session) bool { return true }

// HasRecipients reports whether Recipients would return any.
func (r *Router) HasRecipients(account string, which func(*session.Session) bool) bool {
	for range r.Recipients(account, which) {
		return true
	}
	return false
}

// resource returns the connected resource with a full JID, nil if there is none.
func (r *Router) resource(full jid.JID) *session.Session {
	return r.resourceOf(full.BareString(), full.Resource())
}

// resourceOf is resource for an account and the name of its resource.
func (r *Router) resourceOf(account, resource string) *session.Session {
	return r.sessions.Find(account, resource)
}

// KnowsResources reports whether AvailableResources need not block for an account.
func (r *Router) KnowsResources(account jid.JID) bool {
	if r.nodes == nil {
		return true
	}
	_, ok := r.nodes.Cached(account.BareString())
	return ok
}

// AvailableResources returns the full JIDs of an account's available resources, in no
// particular order. Only workers may call it, unless KnowsResources has returned true.
func (r *Router) AvailableResources(t *session.Turn, account jid.JID) iter.Seq[string] {
	bare := account.BareString()
	places := r.askPlaces(t, bare)
	return func(yield func(string) bool) {
		for s := range r.Recipients(bare, Available) {
			if !yield(s.FullJID()) {
				return
			}
		}
		for _, p := range places {
			if p.Available && !yield(bare+"/"+p.Resource) {
				return
			}
		}
	}
}

// IsConnected reports whether an account has a connected resource. Only workers may call it.
func (r *Router) IsConnected(t *session.Turn, account jid.JID) bool {
	bare := account.BareString()
	return r.HasRecipients(bare, Connected) || len(r.askPlaces(t, bare)) > 0
}
