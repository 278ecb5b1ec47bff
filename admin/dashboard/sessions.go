package dashboard

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"roost/admin/api"
)

// sessionsPage is what the list of sessions is made of.
type sessionsPage struct {
	Query, Sort, Idle, TLS string // as they were given
	Error                  string
	Sessions               []api.Session
	Matching, First, Last  int64  // numbers of the sessions on the page
	Next                   string // URL of the next page; empty: this is the last one
}

// maxFirst limits the number of the first session on a page, which is only shown.
const maxFirst = 1 << 40

var sessionsLabels = labels{"network": "Find", "account": "Find", "domain": "Find", "min_idle": "Silent for", "tls": "Encryption", "sort": "Order"}

func (d *Dashboard) sessions(v *visit) error {
	get := v.URL.Query().Get
	p := sessionsPage{Query: strings.TrimSpace(get("q")), Sort: get("sort"), Idle: get("idle"), TLS: get("tls"), First: 1}
	if n, err := strconv.ParseInt(get("first"), 10, 64); err == nil && n > 0 && n < maxFirst {
		p.First = n
	}
	q, full := search(p.Query)
	if full != "" {
		http.Redirect(v.w, v.Request, "/session?"+url.Values{"jid": {full}}.Encode(), http.StatusSeeOther)
		return nil
	}
	maps.Copy(q, given(map[string]string{"sort": p.Sort, "min_idle": p.Idle, "tls": p.TLS, "cursor": get("cursor")}))
	var list api.SessionPage
	var err error
	if p.Error, err = d.getList(v, sessionsLabels, api.PathSessions, q, &list); err != nil {
		return err
	}
	p.Sessions, p.Matching, p.Last = list.Sessions, list.Matching, p.First+int64(len(list.Sessions))-1
	p.Next = v.nextPage(list.Cursor, p.Last+1)
	d.render(v, http.StatusOK, "sessions.html", "Sessions", &p)
	return nil
}

// search says what a person looks for: a network or an address, an account, or a domain.
// full is the full JID of one session.
func search(text string) (q url.Values, full string) {
	q = make(url.Values)
	_, err1 := netip.ParseAddr(text)
	_, err2 := netip.ParsePrefix(text)
	bare, resource, _ := strings.Cut(text, "/")
	switch {
	case text == "":
	case err1 == nil || err2 == nil:
		q.Set("network", text)
	case !strings.Contains(bare, "@"):
		q.Set("domain", text)
	case resource == "":
		q.Set("account", bare)
	default:
		full = text
	}
	return q, full
}

// protection is what protects a session, for people.
func protection(k api.TLSKind) string {
	switch k {
	case api.TLS12:
		return "TLS 1.2"
	case api.TLSStd, api.TLSLean:
		return "TLS 1.3"
	}
	return "none"
}

// transport is what carries the stream of a session, for people.
func transport(t api.Transport) string {
	switch t {
	case api.TransportTCP:
		return "TCP"
	case api.TransportWebSocket:
		return "WebSocket"
	}
	return "none"
}

// sessionPage is what the page of one session is made of.
type sessionPage struct {
	api.SessionDetail
	Bare string // JID of the account
}

// State says what the session is doing, for people.
func (p *sessionPage) State() string {
	names := map[string]string{
		"busy": "its last request is being processed", "backlog": "waits until its client has read", "throttled": "waits because it sends too much",
		"slow": "is closed because its client does not read", "closing": "is closing", "detached": "has lost its connection, and waits for its client to resume it",
		"inactive": "is inactive: its client has said that nobody looks at it",
	}
	var all []string
	for _, c := range p.Conditions {
		if name := names[c]; name != "" {
			c = name
		}
		all = append(all, c)
	}
	return strings.Join(all, "; ")
}

// sessionPath is the path of a session in the API.
func sessionPath(full string) string {
	return strings.Replace(api.PathSession, "{jid}", url.PathEscape(full), 1)
}

func (d *Dashboard) session(v *visit) error {
	full := v.URL.Query().Get("jid")
	if full == "" {
		return badInput("no session is given")
	}
	var p sessionPage
	if err := d.cfg.API.Get(v.ctx, sessionPath(full), nil, &p.SessionDetail); err != nil {
		return noSession(full, err)
	}
	p.Bare, _, _ = strings.Cut(p.JID, "/")
	d.render(v, http.StatusOK, "session.html", "Session", &p)
	return nil
}

// noSession says for people that there is no session, if that is the error.
func noSession(full string, err error) error {
	return missing(err, "there is no session "+printable(full), "look for it among the sessions; perhaps it has left")
}

var sessionLabels = labels{"text": "What the client is told"}

func (d *Dashboard) endSession(v *visit) error {
	full := v.PostForm.Get("jid")
	if full == "" {
		return badInput("no session is given")
	}
	q := make(url.Values)
	if text := strings.TrimSpace(v.PostForm.Get("text")); text != "" {
		q.Set("text", text)
	}
	if err := d.cfg.API.Do(v.ctx, http.MethodDelete, sessionPath(full), q, nil, nil); err != nil {
		var e *api.Error
		if errors.As(err, &e) {
			err = sessionLabels.naming(e)
		}
		return noSession(full, err)
	}
	bare, _, _ := strings.Cut(full, "/")
	http.Redirect(v.w, v.Request, "/sessions?"+url.Values{"q": {bare}, "done": {"ended"}}.Encode(), http.StatusSeeOther)
	return nil
}
