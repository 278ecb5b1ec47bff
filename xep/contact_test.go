package xep

import "testing"

func TestCheckContacts(t *testing.T) {
	f := func(role, uri string, ok bool) {
		t.Helper()
		if err := CheckContacts(map[string][]string{role: {uri}}); (err == nil) != ok {
			t.Errorf("%s %q: %v", role, uri, err)
		}
	}
	f("admin", "mailto:xmpp@example.org", true)
	f("abuse", "xmpp:abuse@example.org", true)
	f("status", "https://status.example.org/", true)
	f("admin", "xmpp@example.org", false)
	f("admin", "", false)
	f("boss", "mailto:xmpp@example.org", false)
	if err := CheckContacts(nil); err != nil {
		t.Error(err)
	}
}

// TestContactForm: roles without addresses are omitted. Without any addresses there is no
// form.
func TestContactForm(t *testing.T) {
	if forms := contactForms(nil); len(forms) != 0 {
		t.Errorf("%d forms without contacts", len(forms))
	}
	forms := contactForms(map[string][]string{"support": {"mailto:a@example.org", "xmpp:b@example.org"}, "admin": nil})
	if len(forms) != 1 || len(forms[0].Fields) != 1 {
		t.Fatalf("forms %v, want one with one field", forms)
	}
	if got := forms[0].Fields[0]; got.Var != "support-addresses" || len(got.Values) != 2 {
		t.Errorf("field %v", got)
	}
}
