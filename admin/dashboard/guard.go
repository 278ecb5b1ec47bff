package dashboard

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"

	"roost/admin/api"
)

// policy is the Content-Security-Policy of everything that is served: only what the
// program has in itself, nothing inline, and no page of others around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers of everything that is served. A Referrer-Policy of no-referrer
// would make browsers leave the origin out of the forms that they send.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// csrf returns the token of a form: only who has seen the form knows it.
func csrf(key [32]byte, path string) string {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(path))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// checkForm reads a form and refuses it unless it comes from one of our pages.
func (v *visit) checkForm() error {
	if !sameOrigin(v.Request) {
		return &api.Error{Status: 403, Code: api.CodeForbidden, Message: "this form was sent by a page of another site", Hint: "open the dashboard and use its forms"}
	}
	if err := v.ParseForm(); err != nil {
		return badInput("the form is too large or cannot be read")
	}
	if !hmac.Equal([]byte(v.PostForm.Get("csrf")), []byte(csrf(v.key, v.URL.Path))) {
		return &api.Error{Status: 403, Code: api.CodeForbidden, Message: "this form is not valid any more", Hint: "go back, reload the page and send it again"}
	}
	return nil
}

// sameOrigin reports whether a browser says that a page of ours makes this request. Every
// browser that the pages work in says it, in one of two headers. The scheme of the origin
// is not compared, because a proxy may end TLS.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && u.Host == r.Host
}
