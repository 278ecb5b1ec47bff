package leantls

import "strconv"

// Alert is the description in a TLS alert (RFC 8446 section 6).
type Alert uint8

// The alerts that this package sends or handles.
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

// Error is an error of the peer, with the alert that reports it to the peer. All values
// are predeclared and contain none of the peer's data.
type Error struct {
	Alert Alert // the alert to send
	text  string
}

// Error describes the error.
func (e *Error) Error() string { return "leantls: " + e.text }

var (
	errType        = &Error{UnexpectedMessage, "a record that is not encrypted"}
	errVersion     = &Error{ProtocolVersion, "a record of another version"}
	errLong        = &Error{RecordOverflow, "a record that is too long"}
	errMAC         = &Error{BadRecordMAC, "a record that is not authentic"}
	errNoType      = &Error{UnexpectedMessage, "a record that is only padding"}
	errInnerType   = &Error{UnexpectedMessage, "an encrypted record of an unknown type"}
	errInterleaved = &Error{UnexpectedMessage, "a record in the middle of a handshake message"}
	errEmpty       = &Error{UnexpectedMessage, "an empty handshake message"}
	errAlertLength = &Error{UnexpectedMessage, "an alert that is not two bytes long"}
	errHandshake   = &Error{UnexpectedMessage, "a handshake message other than KeyUpdate"}
	errTrailing    = &Error{UnexpectedMessage, "bytes after a KeyUpdate"}
	errLength      = &Error{DecodeError, "a KeyUpdate of the wrong length"}
	errRequest     = &Error{IllegalParameter, "a KeyUpdate with an invalid request_update"}
	errUseless     = &Error{UnexpectedMessage, "too many records without data"}
	errUpdates     = &Error{UnexpectedMessage, "too many KeyUpdates"}
	errWrapped     = &Error{InternalError, "too many records or keys"}
)

// PeerError is a fatal alert from the peer. It ends the session without a reply.
type PeerError Alert

// Error returns a text with the number of the alert.
func (e PeerError) Error() string { return "leantls: the peer sent alert " + strconv.Itoa(int(e)) }
