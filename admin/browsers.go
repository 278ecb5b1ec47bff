package admin

import (
	"net"
	"net/http"
	"net/netip"

	"roost/admin/api"
)

// onlyOurPages refuses requests that a browser makes for pages of other sites. The Unix
// socket gives rights to whatever connects to it, and people forward it to a port of their
// own machine, so a browser there can be made to send requests to it: by a form of any
// page, or by a name that its owner points at 127.0.0.1 once the page is loaded.
func (s *Server) onlyOurPages(h http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := r.Context().Value(peerKey{}).(peer)
		var e *api.Error
		switch {
		case p.local && !ourName(r.Host):
			e = &api.Error{Status: 403, Code: api.CodeForbidden, Message: "this name is not one of the Unix socket", Hint: "use http://roost/, http://localhost or a loopback address"}
		case crossOrigin.Check(r) != nil:
			e = &api.Error{Status: 403, Code: api.CodeForbidden, Message: "a page of another site made this request"}
		default:
			h.ServeHTTP(w, r)
			return
		}
		write(w, e.Status, api.ErrorResponse{Error: *e})
	})
}

// ourName reports whether a request by the Unix socket has a name that nobody can point
// at it from outside: a loopback address, localhost, or the roost of our commands.
func ourName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "roost" || host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
