package leantls

import "slices"

// maxSealed is how many records are sealed under one key: RFC 8446 section 5.5
// allows 2^24.5 full-size records with AES-GCM.
const maxSealed = 1 << 24

// overhead is what sealing adds to one record, in bytes.
const overhead = HeaderLen + 1 + tagLen

// SealedLen is at most how many bytes Seal appends for n bytes of data, a
// KeyUpdate before them included.
func SealedLen(n int) int {
	return n + overhead*((n+MaxData-1)/MaxData) + overhead + len(keyUpdate) + 1
}

// Seal appends records with the data of p to dst. old is what it returned the
// last time, or nil; the Keys it returns are to be kept for as long as the
// session is busy, if at all. What was appended must be sent, in the order of
// the calls and nothing left out, or the connection must end.
func (s *State) Seal(old *Keys, dst, p []byte) ([]byte, *Keys, error) {
	h := &s.write
	k := h.current(old)
	if k == nil {
		return dst, nil, ErrClosed
	}
	dst = slices.Grow(dst, SealedLen(len(p)))
	for len(p) > 0 {
		if h.updates != 0 || h.seq >= maxSealed {
			dst = k.seal(dst, []byte(keyUpdate+"\x00"), typeHandshake)
			h.updates = 0
			if err := h.nextSecret(); err != nil {
				h.zeroize()
				return dst, nil, err
			}
			k = h.keys()
		}
		n := min(len(p), MaxData)
		dst = k.seal(dst, p[:n], typeData)
		p = p[n:]
	}
	return dst, k, nil
}

// seal appends one record and counts it. It is written out so that nothing is
// allocated where dst has room.
func (k *Keys) seal(dst, p []byte, typ byte) []byte {
	n := len(p) + 1 + tagLen
	start := len(dst)
	dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
	body := len(dst)
	dst = append(dst, p...)
	dst = append(dst, typ)
	dst = k.aead.Seal(dst[:body], k.nonceFor(k.half.seq), dst[body:], dst[start:body])
	k.half.seq++
	return dst
}

// AnswerUpdate has the next Seal send a KeyUpdate first, once for however many
// were asked for. RFC 8446 section 4.6.3: "then the receiver MUST send a
// KeyUpdate of its own with request_update set to "update_not_requested" prior
// to sending its next Application Data record." A peer that does not read
// cannot make us queue answers in this way.
func (s *State) AnswerUpdate() { s.write.updates = 1 }

// End appends an alert, the last record of this direction, and forgets the
// direction's secret. It appends nothing if that has happened before.
func (s *State) End(old *Keys, dst []byte, alert Alert) []byte {
	k := s.write.current(old)
	if k == nil {
		return dst
	}
	const warning, fatal = 1, 2
	level := byte(fatal)
	if alert == CloseNotify {
		level = warning
	}
	dst = k.seal(dst, []byte{level, byte(alert)}, typeAlert)
	s.write.zeroize()
	return dst
}
