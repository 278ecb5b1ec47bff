package leantls

import "math"

// Sizes of records in bytes (RFC 8446 sections 5.1 and 5.2,
// https://www.rfc-editor.org/rfc/rfc8446#section-5.1).
const (
	HeaderLen = 5
	MaxData   = 1 << 14             // data in one record
	MaxRecord = HeaderLen + maxBody // a complete record

	maxInner = MaxData + 1   // data with content type and padding
	maxBody  = MaxData + 256 // the encrypted content
	tagLen   = 16
)

// The types of records.
const (
	typeChange    = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
)

// The types of handshake messages.
const (
	msgTicket    = 4
	msgFinished  = 20
	msgKeyUpdate = 24
)

// Limits of what a peer may send without data; more is treated as a denial-of-service
// attempt.
const (
	maxUseless       = 32 // records without data in a row
	maxUpdates       = 64 // KeyUpdates; the count falls by one for every recordsPerUpdate records under one key
	recordsPerUpdate = 16
)

// RecordLen returns the length in bytes of the record at the start of p, including its
// header, or 0 if more of the header is needed. It checks the header as far as it has
// arrived, so that nothing is buffered for a record that will be refused.
func RecordLen(p []byte) (int, error) {
	if len(p) > 0 && p[0] != typeData {
		return 0, errType
	}
	if len(p) > 1 && p[1] != 3 || len(p) > 2 && p[2] != 3 {
		return 0, errVersion
	}
	if len(p) < HeaderLen {
		return 0, nil
	}
	n := int(p[3])<<8 | int(p[4])
	// RFC 8446 section 5.2 (https://www.rfc-editor.org/rfc/rfc8446#section-5.2): "The
	// length MUST NOT exceed 2^14 + 256 bytes. An endpoint that receives a record that
	// exceeds this length MUST terminate the connection with a "record_overflow" alert."
	if n > maxBody {
		return 0, errLong
	}
	return HeaderLen + n, nil
}

// Kind is the kind of an opened record.
type Kind uint8

// The kinds of records.
const (
	Nothing         Kind = iota // nothing to do
	Data                        // application data
	UpdateRequested             // the peer has changed its keys and requests that we do too: call AnswerUpdate
	Closed                      // close_notify: the peer will send nothing more
)

// Open decrypts one complete record in place, with keys from ReadKeys. RecordLen must
// have accepted its header. data is a part of record. After an error and after Closed,
// the reading half has ended. The error is an *Error, whose alert must be sent, a
// PeerError or ErrClosed.
func (s *State) Open(k *Keys, record []byte) (kind Kind, data []byte, err error) {
	h := &s.read
	if h.suite == 0 {
		return Nothing, nil, ErrClosed
	}
	if !k.matches(h) {
		panic("leantls: BUG: the keys are not those of the reading half")
	}
	typ, data, err := k.open(h.seq, record)
	if err == nil {
		h.seq++
		kind, err = h.process(typ, data)
	}
	if err != nil || kind == Closed {
		h.zeroize()
	}
	if kind == Closed {
		h.partial = closedByPeer
	}
	if kind != Data {
		data = nil
	}
	return kind, data, err
}

// open authenticates and decrypts a record in place and removes the content type and the
// padding.
func (k *Keys) open(seq uint64, record []byte) (typ byte, content []byte, err error) {
	if seq == math.MaxUint64 {
		return 0, nil, errWrapped
	}
	body := record[HeaderLen:]
	inner, err := k.aead.Open(body[:0], k.nonceFor(seq), body, record[:HeaderLen])
	if err != nil {
		return 0, nil, errMAC
	}
	if len(inner) > maxInner {
		return 0, nil, errLong
	}
	// RFC 8446 section 5.4 (https://www.rfc-editor.org/rfc/rfc8446#section-5.4): "If a
	// receiving implementation does not find a non-zero octet in the cleartext, it MUST
	// terminate the connection with an "unexpected_message" alert."
	n := len(inner) - 1
	for n >= 0 && inner[n] == 0 {
		n--
	}
	if n < 0 {
		return 0, nil, errNoType
	}
	return inner[n], inner[:n], nil
}

// process handles an authentic record.
func (h *half) process(typ byte, p []byte) (Kind, error) {
	// RFC 8446 section 5.1 (https://www.rfc-editor.org/rfc/rfc8446#section-5.1):
	// "Handshake messages MUST NOT be interleaved with other record types."
	if h.partial != 0 && typ != typeHandshake {
		return Nothing, errInterleaved
	}
	switch typ {
	case typeData:
		if len(p) == 0 {
			return Nothing, h.countUseless()
		}
		h.useless = 0
		return Data, nil
	case typeHandshake:
		return h.handshake(p)
	case typeAlert:
		return h.alert(p)
	}
	return Nothing, errInnerType
}

// countUseless counts a record without data.
func (h *half) countUseless() error {
	if h.useless++; h.useless > maxUseless {
		return errUseless
	}
	return nil
}

// alert handles an alert. RFC 8446 section 5.1
// (https://www.rfc-editor.org/rfc/rfc8446#section-5.1): "a record with an Alert type MUST
// contain exactly one message." Section 6: all but two descriptions are fatal, whatever
// their level says.
func (h *half) alert(p []byte) (Kind, error) {
	if len(p) != 2 {
		return Nothing, errAlertLength
	}
	switch Alert(p[1]) {
	case CloseNotify:
		return Closed, nil
	case UserCanceled:
		return Nothing, h.countUseless()
	}
	return Nothing, PeerError(p[1])
}

// keyUpdate is the type and length of a KeyUpdate (RFC 8446 section 4.6.3,
// https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3), the only handshake message that
// a client may send after its handshake. A fifth byte says whether the receiver must
// update its keys too.
const keyUpdate = "\x18\x00\x00\x01"

// handshake handles a record with handshake messages. For a KeyUpdate that is split over
// records only the number of received bytes is stored.
func (h *half) handshake(p []byte) (Kind, error) {
	if len(p) == 0 {
		return Nothing, errEmpty
	}
	if err := h.countUseless(); err != nil {
		return Nothing, err
	}
	for n, b := range p {
		switch i := int(h.partial); {
		case i == 0 && b != msgKeyUpdate:
			return Nothing, errHandshake
		case i == len(keyUpdate):
			return h.update(b, n == len(p)-1)
		case b != keyUpdate[i]:
			return Nothing, errLength
		}
		h.partial++
	}
	return Nothing, nil
}

// update handles the last byte of a KeyUpdate.
func (h *half) update(request byte, last bool) (Kind, error) {
	// RFC 8446 section 5.1 (https://www.rfc-editor.org/rfc/rfc8446#section-5.1):
	// "Handshake messages MUST NOT span key changes."
	if !last {
		return Nothing, errTrailing
	}
	// Section 4.6.3 (https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3): "If an
	// implementation receives any other value, it MUST terminate the connection with an
	// "illegal_parameter" alert."
	if request > 1 {
		return Nothing, errRequest
	}
	h.partial = 0
	h.updates -= uint8(min(uint64(h.updates), h.seq/recordsPerUpdate))
	if h.updates++; h.updates > maxUpdates {
		return Nothing, errUpdates
	}
	if err := h.nextSecret(); err != nil {
		return Nothing, err
	}
	if request == 1 {
		return UpdateRequested, nil
	}
	return Nothing, nil
}
