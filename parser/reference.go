package parser

// reference is where the machine is in a reference, behind its '&'. It can stop
// at any byte and keeps the value, not the digits, so that a reference with
// very many zeros costs nothing twice.
type reference struct {
	value uint32 // of a character reference, no larger than tooLarge
	start uint32 // where the name began, or how many digits there were
	step  uint8
}

const (
	refStart = iota // behind '&'
	refHash         // behind "&#"
	refDec          // in a decimal character reference
	refHex          // in a hexadecimal one
	refName         // in the name of an entity
)

const tooLarge = 0x110000 // no character has this number

// run goes on at src[p]. It returns where the reference ends and whether it
// does before end.
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
			// A colon is no part of the name of an entity (Namespaces in XML,
			// section 7).
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

// digit takes one more digit. The value stays at tooLarge once it is there, so
// that it cannot overflow into an allowed one.
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

// predefined is the character of a predefined entity (XML 1.0 section 4.6), 0
// for any other name.
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
