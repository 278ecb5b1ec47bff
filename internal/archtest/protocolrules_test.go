package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// The key words of protocol rules (https://www.rfc-editor.org/rfc/rfc2119#section-1), and
// links to a section of an RFC or a W3C recommendation, or to an XEP: some XEPs have no
// anchors.
var (
	keyWord  = regexp.MustCompile(`\b(MUST|SHALL|SHOULD|REQUIRED|RECOMMENDED)\b`)
	ruleLink = regexp.MustCompile(`https://(www\.rfc-editor\.org/rfc/rfc\d+#(section|appendix)-\w|xmpp\.org/extensions/xep-\d{4}\.html|www\.w3\.org/TR/\S+#\w)`)
)

// TestProtocolRules: a comment that states a rule of a protocol links to its source.
func TestProtocolRules(t *testing.T) {
	rules := 0
	for _, tests := range []bool{false, true} {
		for _, s := range sources(t, "../..", tests) {
			stated, missing := protocolRules(s.file)
			rules += stated
			for _, comment := range missing {
				t.Errorf("%s: link to the rule, such as https://www.rfc-editor.org/rfc/rfc6120#section-4.7.3 or https://xmpp.org/extensions/xep-0030.html#items-basic", s.at(comment))
			}
		}
	}
	if rules < 40 {
		t.Errorf("only %d rules were found: the test no longer finds them", rules)
	}
}

// protocolRules returns the number of comments that state rules, and those without a link.
func protocolRules(file *ast.File) (stated int, missing []*ast.CommentGroup) {
	for _, group := range file.Comments {
		var text strings.Builder
		for _, line := range group.List {
			text.WriteString(line.Text + "\n")
		}
		if !keyWord.MatchString(text.String()) {
			continue
		}
		stated++
		if !ruleLink.MatchString(text.String()) {
			missing = append(missing, group)
		}
	}
	return stated, missing
}

// TestProtocolRuleIsSeen: the check finds violations.
func TestProtocolRuleIsSeen(t *testing.T) {
	f := func(comment string, wantStated, wantMissing int) {
		t.Helper()
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n\n"+comment+"\nvar x int\n", parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if stated, missing := protocolRules(file); stated != wantStated || len(missing) != wantMissing {
			t.Errorf("%s: %d rules, %d without a link; want %d and %d", comment, stated, len(missing), wantStated, wantMissing)
		}
	}
	f("// x must be positive.", 0, 0)
	f("// \"The server MUST reply\".", 1, 1)
	f("// \"The server\n// SHOULD reply\" (RFC 6120 section 8.2.3).", 1, 1)
	f("// \"The server MUST reply\" (https://www.rfc-editor.org/rfc/rfc6120).", 1, 1)
	f("// \"The server MUST reply\"\n// (https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3).", 1, 0)
	f("// \"The server MUST reply\" ([section 8.2.3]).\n//\n// [section 8.2.3]: https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3", 1, 0)
	f("// \"The server MUST reply\" (https://xmpp.org/extensions/xep-0049.html).", 1, 0)
	f("// \"It MUST be so\".\n\n// https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3", 1, 1)
}
