package jid

import "strings"

// The classes of ASCII characters: bits of the table below.
const (
	localOK    = 1 << iota // in a normalized localpart
	resourceOK             // in a normalized resourcepart
	labelOK                // in a label of a normalized domain name
)

// class says in which parts an ASCII character needs no normalization. Bytes above 0x7f
// have no class: they take the slow path.
var class = func() (t [256]uint8) {
	for c := ' '; c <= '~'; c++ {
		t[c] = resourceOK
		// UsernameCaseMapped: no space, no upper case; and RFC 7622 section
		// 3.3.1 disallows eight characters more.
		if c != ' ' && !('A' <= c && c <= 'Z') && !strings.ContainsRune("\"&'/:<>@", c) {
			t[c] |= localOK
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' {
			t[c] |= labelOK
		}
	}
	return t
}()

// isASCII reports whether s has only characters of one class.
func isASCII(s string, want uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&want == 0 {
			return false
		}
	}
	return true
}

// parseFast parses an address that is normalized ASCII; ok is false for all
// others, good or bad.
func parseFast(s string) (j JID, ok bool) {
	i := 0
	for i < len(s) && class[s[i]]&localOK != 0 {
		i++
	}
	start := 0
	if i < len(s) && s[i] == '@' {
		if i == 0 || i > MaxPart {
			return JID{}, false
		}
		j.local, start = uint16(i), i+1
	}
	end := start
	for end < len(s) && s[end] != '/' {
		end++
	}
	if !domainFast(s[start:end]) {
		return JID{}, false
	}
	if end < len(s) {
		resource := s[end+1:]
		if len(resource) == 0 || len(resource) > MaxPart || !isASCII(resource, resourceOK) {
			return JID{}, false
		}
	}
	j.s, j.bare = s, uint16(end)
	return j, true
}

// domainFast reports whether s is a normalized domain name in ASCII, without
// labels in the form of RFC 5890 ("xn--").
func domainFast(s string) bool {
	if len(s) == 0 || len(s) > MaxPart {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && class[s[i]]&labelOK != 0 {
			continue
		}
		if i < len(s) && s[i] != '.' || !labelFast(s[start:i]) {
			return false
		}
		start = i + 1
	}
	return true
}

// labelFast reports whether a label of letters, digits and hyphens is normalized (RFC
// 5890 section 2.3.1: an NR-LDH label).
func labelFast(s string) bool {
	return len(s) > 0 && len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' &&
		(len(s) < 4 || s[2] != '-' || s[3] != '-')
}

// parseSlow parses any address (RFC 7622 section 3.1): the resourcepart is what
// follows the first '/', the localpart what precedes the first '@' before it.
func parseSlow(s string) (JID, error) {
	rest, resource, full := strings.Cut(s, "/")
	local, domain, account := strings.Cut(rest, "@")
	if !account {
		local, domain = "", rest
	}
	switch {
	case account && local == "":
		return JID{}, ErrLocalpart
	case full && resource == "":
		return JID{}, ErrResourcepart
	}
	return New(local, domain, resource)
}
