package xep

import (
	"fmt"
	"net/url"

	"roost/router"
)

// outage publishes the addresses at which clients find out about outages, also while the
// server does not run, as a form in its disco#info (XEP-0455,
// https://xmpp.org/extensions/xep-0455.html). What is found there is written elsewhere: this
// is only the discovery of section 2.1.
func outage(x *Set) router.Extension {
	return router.Extension{
		Name:    "outage",
		XEP:     455,
		Version: "0.4.0",
		Title:   "Service Outage Status",
		Forms:   func() []router.Form { return outageForms(x.config().OutageStatus) },
	}
}

// outageForms returns the form with the addresses, none if there are none.
func outageForms(addresses []string) []router.Form {
	if len(addresses) == 0 {
		return nil
	}
	return []router.Form{{
		Type:   "urn:xmpp:sos:0",
		Fields: []router.Field{{Var: "external-status-addresses", Values: addresses}},
	}}
}

// CheckOutageStatus returns an error if an address is not a URL of HTTP or HTTPS: they
// "MUST be valid URIs" and "SHOULD use HTTP/HTTPS protocol"
// (https://xmpp.org/extensions/xep-0455.html#external-disco).
func CheckOutageStatus(addresses []string) error {
	for _, a := range addresses {
		if u, err := url.Parse(a); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%q is not a URL such as https://status.example.org/outage.json", a)
		}
	}
	return nil
}
