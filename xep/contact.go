package xep

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"roost/router"
)

// contactRoles are the roles that can have contact addresses (XEP-0157 section 7.1).
var contactRoles = []string{"abuse", "admin", "feedback", "sales", "security", "status", "support"}

// contact publishes the contact addresses of the server's operators, as a form in its
// disco#info (XEP-0157, https://xmpp.org/extensions/xep-0157.html).
func contact(x *Set) router.Extension {
	return router.Extension{
		Name:    "contact",
		XEP:     157,
		Version: "1.1.1",
		Title:   "Contact Addresses for XMPP Services",
		Forms:   func() []router.Form { return contactForms(x.config().Contacts) },
	}
}

// contactForms returns the form with the contact addresses, none if there are none.
func contactForms(contacts map[string][]string) []router.Form {
	form := router.Form{Type: "http://jabber.org/network/serverinfo"}
	for _, role := range contactRoles {
		if uris := contacts[role]; len(uris) > 0 {
			form.Fields = append(form.Fields, router.Field{Var: role + "-addresses", Values: uris})
		}
	}
	if len(form.Fields) == 0 {
		return nil
	}
	return []router.Form{form}
}

// CheckContacts returns an error if a role is unknown, or if a contact address is not a URI
// such as mailto:xmpp@example.org.
func CheckContacts(contacts map[string][]string) error {
	for _, role := range slices.Sorted(maps.Keys(contacts)) {
		if !slices.Contains(contactRoles, role) {
			return fmt.Errorf("contact addresses: unknown role %q: use one of %s", role, strings.Join(contactRoles, ", "))
		}
		for _, uri := range contacts[role] {
			// "Values of 'status-addresses' form field MUST be valid URIs"; those of the
			// other fields SHOULD be (https://xmpp.org/extensions/xep-0157.html#xmpp).
			if u, err := url.Parse(uri); err != nil || u.Scheme == "" {
				return fmt.Errorf("contact addresses: %q is not a URI: write it like mailto:xmpp@example.org or xmpp:admin@example.org", uri)
			}
		}
	}
	return nil
}
