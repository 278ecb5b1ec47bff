package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"roost/admin/api"
)

// Limits of logins: how many there may be, for how long, and how long one may be unused. A
// page that is visible uses its login.
const (
	maxLogins = 64
	maxAge    = 24 * time.Hour
	maxUnused = 2 * time.Hour
)

// loginState is a browser that has logged in.
type loginState struct {
	token       TokenID
	key         [32]byte // of its forms
	began, used time.Time
}

// logins are the browsers that have logged in. A restart ends all of them.
type logins struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*loginState // by the hash of the cookie
}

func newLogins(now func() time.Time) logins {
	return logins{now: now, all: make(map[[sha256.Size]byte]*loginState)}
}

// begin makes a login and returns its cookie. If there are too many, the one that was not
// used for the longest time ends.
func (l *logins) begin(token TokenID) (cookie string) {
	b := make([]byte, 32)
	rand.Read(b)
	cookie = base64.RawURLEncoding.EncodeToString(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	if len(l.all) >= maxLogins {
		var oldest [sha256.Size]byte
		for id, s := range l.all {
			if o := l.all[oldest]; o == nil || s.used.Before(o.used) {
				oldest = id
			}
		}
		delete(l.all, oldest)
	}
	s := &loginState{token: token, began: l.now(), used: l.now()}
	rand.Read(s.key[:])
	l.all[sha256.Sum256([]byte(cookie))] = s
	return cookie
}

// expire ends logins whose time is over. Under mu.
func (l *logins) expire() {
	now := l.now()
	for id, s := range l.all {
		if now.Sub(s.began) >= maxAge || now.Sub(s.used) >= maxUnused {
			delete(l.all, id)
		}
	}
}

// find returns the login of a cookie.
func (l *logins) find(cookie string) (loginState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	s := l.all[sha256.Sum256([]byte(cookie))]
	if s == nil {
		return loginState{}, false
	}
	s.used = l.now()
	return *s, true
}

// end ends the login of a cookie.
func (l *logins) end(cookie string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, sha256.Sum256([]byte(cookie)))
}

// cookieName is the name of the cookie. With the prefix, browsers accept it only over TLS
// and for no other host (draft-ietf-httpbis-rfc6265bis section 4.1.3.2).
func cookieName(tls bool) string {
	if tls {
		return "__Host-roost"
	}
	return "roost"
}

// setCookie sets the cookie, or removes it if value is empty.
func (v *visit) setCookie(value string) {
	c := &http.Cookie{Name: cookieName(v.TLS != nil), Value: value, Path: "/", HttpOnly: true, Secure: v.TLS != nil, SameSite: http.SameSiteStrictMode, MaxAge: int(maxAge.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// loginPage is what the page of the login is made of.
type loginPage struct{ Next, Error string }

// next returns where a login leads: a page of ours, else the overview.
func next(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(text, "//") ||
		strings.Contains(text, `\`) || u.Path == "/login" {
		return "/"
	}
	return u.RequestURI()
}

func (d *Dashboard) showLogin(v *visit) error {
	to := next(v.URL.Query().Get("next"))
	if v.known {
		http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
		return nil
	}
	d.render(v, http.StatusOK, "login.html", "Log in", loginPage{Next: to})
	return nil
}

func (d *Dashboard) login(v *visit) error {
	to := next(v.PostForm.Get("next"))
	if v.local {
		http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
		return nil
	}
	id, err := d.cfg.Users.Login(v.w, v.Request, strings.TrimSpace(v.PostForm.Get("token")))
	var e *api.Error
	if errors.As(err, &e) {
		text := "This token is not valid."
		if e.Code == api.CodeTooMany {
			text = "There were too many attempts without a valid token. Try again in a minute; a valid token is accepted all the same."
		}
		d.render(v, e.Status, "login.html", "Log in", loginPage{Next: to, Error: text})
		return nil
	}
	if err != nil {
		return err
	}
	if v.cookie != "" {
		d.logins.end(v.cookie)
	}
	v.setCookie(d.logins.begin(id))
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
	return nil
}

func (d *Dashboard) logout(v *visit) error {
	if v.cookie != "" {
		d.logins.end(v.cookie)
		v.setCookie("")
	}
	http.Redirect(v.w, v.Request, "/login", http.StatusSeeOther)
	return nil
}
