package leantls

import "strconv"

// Alert is the description in a TLS alert (RFC 8446 section 6).
type Alert uint8

// The alerts that are sent or understood.
const (
	CloseNotify       Alert = 0
	UnexpectedMessage Alert = 10
	BadRecordMAC      Alert = 20
	RecordOverflow    Alert = 22
	IllegalParameter  Alert = 47
	DecodeError       Alert = 50
	ProtocolVersion   Alert = 70
	InternalError     Alert = 80
	UserCanceled      Alert = 90
)

// Error is what a peer did wrong, with the alert that tells it so. The values
// are predeclared and hold nothing of what the peer sent.
type Error struct {
	Alert Alert // to be sent
	text  string
}

// Error says what was wrong.
func (e *Error) Error() string { return "leantls: " + e.text }

var (
	errType        = &Error{UnexpectedMessage, "a record that is not encrypted"}
	errVersion     = &Error{ProtocolVersion, "a record of another version"}
	errLong        = &Error{RecordOverflow, "a record that is too long"}
	errMAC         = &Error{BadRecordMAC, "a record that is not authentic"}
	errNoType      = &Error{UnexpectedMessage, "a record of nothing but padding"}
	errInnerType   = &Error{UnexpectedMessage, "an encrypted record of an unknown type"}
	errInterleaved = &Error{UnexpectedMessage, "a record in the middle of a handshake message"}
	errEmpty       = &Error{UnexpectedMessage, "an empty handshake message"}
	errAlertLength = &Error{UnexpectedMessage, "an alert that is not two bytes long"}
	errHandshake   = &Error{UnexpectedMessage, "a handshake message other than KeyUpdate"}
	errTrailing    = &Error{UnexpectedMessage, "bytes behind a KeyUpdate"}
	errLength      = &Error{DecodeError, "a KeyUpdate of the wrong length"}
	errRequest     = &Error{IllegalParameter, "a KeyUpdate that requests neither yes nor no"}
	errUseless     = &Error{UnexpectedMessage, "too many records without data"}
	errUpdates     = &Error{UnexpectedMessage, "too many KeyUpdates"}
	errWrapped     = &Error{InternalError, "too many records or keys"}
)

// PeerError is a fatal alert that the peer sent: it ends the session without an
// answer.
type PeerError Alert

// Error names the alert by its number.
func (e PeerError) Error() string { return "leantls: the peer sent alert " + strconv.Itoa(int(e)) }
