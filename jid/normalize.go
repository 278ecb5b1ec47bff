package jid

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

// maxLabel is the largest size of a domain label in its ASCII form (RFC 5890
// section 2.3.2.1).
const maxLabel = 63

// maxRounds limits how often a profile is applied until its output is stable: RFC 8265
// section 8.2 (and RFC 8266 section 2.1, which gives the number) say that the rules are
// not idempotent for all code points.
const maxRounds = 4

// domains maps and checks internationalized domain names; see RFC 7622 section
// 3.2, which requires U-labels, in lower case.
var domains = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(true),
	idna.ValidateLabels(true),
	idna.CheckHyphens(true),
	idna.CheckJoiners(true),
	idna.BidiRule(),
)

// NormalizeLocal returns the normalized form of the localpart s (RFC 7622 section 3.3),
// which is s itself if it is already normalized. The error is ErrLocalpart.
func NormalizeLocal(s string) (string, error) {
	if isASCII(s, localOK) {
		return sized(s, ErrLocalpart)
	}
	return localSlow(s)
}

func localSlow(s string) (string, error) {
	s, err := enforce(precis.UsernameCaseMapped, s, ErrLocalpart)
	// RFC 7622 section 3.3.1: "the following characters are explicitly
	// disallowed in XMPP localparts".
	if err != nil || strings.ContainsAny(s, "\"&'/:<>@") {
		return "", ErrLocalpart
	}
	return s, nil
}

// NormalizeResource returns the normalized form of the resourcepart s (RFC 7622 section
// 3.4), which is s itself if it is already normalized. The error is ErrResourcepart.
func NormalizeResource(s string) (string, error) {
	if isASCII(s, resourceOK) {
		return sized(s, ErrResourcepart)
	}
	return resourceSlow(s)
}

func resourceSlow(s string) (string, error) {
	return enforce(precis.OpaqueString, s, ErrResourcepart)
}

// NormalizeDomain returns the normalized form of the domainpart s (RFC 7622 section 3.2),
// which is s itself if it is already normalized. The error is ErrDomainpart.
func NormalizeDomain(s string) (string, error) {
	if domainFast(s) {
		return s, nil
	}
	return domainSlow(s)
}

// DNSName returns a normalized domainpart as used in DNS and TLS, with A-labels for
// labels that are not ASCII: RFC 6120 section 13.7.1.2 uses them in certificates, RFC
// 6066 section 3 in the server name of a TLS client.
func DNSName(domain string) string {
	if name, err := domains.ToASCII(domain); err == nil {
		return name
	}
	return domain // an IP address
}

// sized returns s if its size is allowed for a part.
func sized(s string, bad error) (string, error) {
	if len(s) == 0 || len(s) > MaxPart {
		return "", bad
	}
	return s, nil
}

// enforce applies a PRECIS profile until the result is stable.
func enforce(p *precis.Profile, s string, bad error) (string, error) {
	if len(s) > MaxPart || !utf8.ValidString(s) {
		return "", bad
	}
	for range maxRounds {
		next, err := p.String(s)
		if err != nil {
			return "", bad
		}
		if next == s {
			return sized(s, bad)
		}
		s = next
	}
	return "", bad
}

// domainSlow normalizes a domain name or an IP literal.
func domainSlow(s string) (string, error) {
	// RFC 7622 section 3.2 (https://www.rfc-editor.org/rfc/rfc7622#section-3.2): "If the
	// domainpart includes a final character considered to be a label separator (dot) by
	// [RFC1034], this character MUST be stripped from the domainpart before the JID of
	// which it is a part is used".
	s = strings.TrimSuffix(s, ".")
	if len(s) == 0 || len(s) > MaxPart || !utf8.ValidString(s) {
		return "", ErrDomainpart
	}
	if s[0] == '[' {
		return normalizeIPv6(s)
	}
	for range maxRounds {
		next, err := domains.ToUnicode(s)
		if err != nil {
			return "", ErrDomainpart
		}
		if next == s {
			return checkDomain(s)
		}
		s = next
	}
	return "", ErrDomainpart
}

// checkDomain returns a normalized domain name s if its size and those of its labels are
// allowed.
func checkDomain(s string) (string, error) {
	for label := range strings.SplitSeq(s, ".") {
		// Punycode makes no label shorter, and takes quadratic time.
		if utf8.RuneCountInString(label) > maxLabel {
			return "", ErrDomainpart
		}
	}
	ascii, err := domains.ToASCII(s)
	if err != nil {
		return "", ErrDomainpart
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if len(label) == 0 || len(label) > maxLabel {
			return "", ErrDomainpart
		}
	}
	return sized(s, ErrDomainpart)
}

// normalizeIPv6 converts an IP literal to the form of RFC 5952. RFC 3986, to which RFC
// 7622 refers, has no zones.
func normalizeIPv6(s string) (string, error) {
	if s[len(s)-1] != ']' {
		return "", ErrDomainpart
	}
	ip, err := netip.ParseAddr(s[1 : len(s)-1])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", ErrDomainpart
	}
	var buf [64]byte
	text := append(ip.AppendTo(append(buf[:0], '[')), ']')
	if string(text) == s {
		return s, nil
	}
	return string(text), nil
}
