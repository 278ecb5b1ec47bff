package xep

import "testing"

func TestCheckOutageStatus(t *testing.T) {
	f := func(address string, ok bool) {
		t.Helper()
		if err := CheckOutageStatus([]string{"https://status.example.org/a.json", address}); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	f("http://192.0.2.1:8080/outage.json", true)
	f("https://status.example.org", true)
	f("status.example.org/outage.json", false)
	f("file:///outage.json", false)
	f("https:///outage.json", false)
	f("", false)
	if err := CheckOutageStatus(nil); err != nil {
		t.Error(err)
	}
	if forms := outageForms(nil); len(forms) != 0 {
		t.Errorf("%d forms without addresses", len(forms))
	}
}
