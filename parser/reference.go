package parser

// reference is the state of the machine within a reference, after its '&'. It can stop at
// any byte. It keeps the value instead of the digits, so that resuming a reference with
// very many zeros does not read them again.
type reference struct {
	value uint32 // value of a character reference, at most tooLarge
	start uint32 // where the name began; for a character reference, 1 if there were digits
	step  uint8
}

const (
	refStart = iota // after '&'
	refHash         // after "&#"
	refDec          // in a decimal character reference
	refHex          // in a hexadecimal one
	refName         // in the name of an entity
)

const tooLarge = 0x110000 // no character has this number

// run continues at src[p]. It returns the position after the reference and true, or false
// if the reference does not end before end.
func (r *reference) run(src []byte, p, end, maxName uint) (uint, bool, *Error) {
	for p < end {
		c := src[p]
		switch r.step {
		case refStart:
			switch {
			case c == '#':
				r.step = refHash
			case class[c]&clsStart != 0:
				r.step, r.start = refName, uint32(p)
			default:
				return p, false, ErrReference
			}
		case refHash:
			if c == 'x' {
				r.step = refHex
				break
			}
			r.step = refDec
			continue
		case refDec, refHex:
			if c == ';' {
				if r.start == 0 || !isChar(r.value) {
					return p, false, ErrReference
				}
				return p + 1, true, nil
			}
			if !r.digit(c) {
				return p, false, ErrReference
			}
		case refName:
			if c == ';' {
				if predefined(src[r.start:p]) == 0 {
					return p, false, ErrEntity
				}
				return p + 1, true, nil
			}
			// The name of an entity must not contain a colon (Namespaces in XML, section
			// 7).
			if class[c]&clsName == 0 {
				return p, false, ErrReference
			}
			if p-uint(r.start) >= maxName {
				return p, false, ErrNameTooLong
			}
		}
		p++
	}
	return p, false, nil
}

// digit adds one digit. The value does not grow beyond tooLarge, so that it cannot
// overflow to an allowed one.
func (r *reference) digit(c byte) bool {
	base := uint32(10)
	if r.step == refHex {
		base = 16
	}
	v := base
	switch {
	case c >= '0' && c <= '9':
		v = uint32(c - '0')
	case c >= 'a' && c <= 'f':
		v = uint32(c-'a') + 10
	case c >= 'A' && c <= 'F':
		v = uint32(c-'A') + 10
	}
	if v >= base {
		return false
	}
	r.start = 1
	r.value = min(r.value*base+v, tooLarge)
	return true
}

// predefined returns the character of a predefined entity (XML 1.0 section 4.6), 0 for
// any other name.
func predefined(name []byte) byte {
	switch string(name) {
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "amp":
		return '&'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	return 0
}
