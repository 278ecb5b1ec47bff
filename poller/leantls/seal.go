package leantls

import "slices"

// maxSealed limits the records sealed under one key. RFC 8446 section 5.5
// (https://www.rfc-editor.org/rfc/rfc8446#section-5.5) allows 2^24.5 full-size records
// with AES-GCM.
const maxSealed = 1 << 24

// overhead is the number of bytes that sealing adds to one record.
const overhead = HeaderLen + 1 + tagLen

// SealedLen returns the maximum number of bytes that Seal appends for n bytes of data,
// including a KeyUpdate before them.
func SealedLen(n int) int {
	return n + overhead*((n+MaxData-1)/MaxData) + overhead + len(keyUpdate) + 1
}

// Seal appends records with the data of p to dst. old are the Keys that the previous call
// returned, or nil; the caller may keep the returned Keys while the session is busy. The
// appended bytes must be sent completely and in the order of the calls, or the connection
// must end.
func (s *State) Seal(old *Keys, dst, p []byte) ([]byte, *Keys, error) {
	return s.SealWith(old, dst, nil, p)
}

// SealWith is Seal for head, at most MaxData bytes, followed by p.
func (s *State) SealWith(old *Keys, dst, head, p []byte) ([]byte, *Keys, error) {
	h := &s.write
	k := h.current(old)
	if k == nil {
		return dst, nil, ErrClosed
	}
	dst = slices.Grow(dst, SealedLen(len(head)+len(p)))
	for len(head)+len(p) > 0 {
		if h.updates != 0 || h.seq >= maxSealed {
			dst = k.seal(dst, []byte(keyUpdate+"\x00"), typeHandshake)
			h.updates = 0
			if err := h.nextSecret(); err != nil {
				h.zeroize()
				return dst, nil, err
			}
			k = h.keys()
		}
		n := min(len(p), MaxData-len(head))
		dst = k.sealWith(dst, head, p[:n], typeData)
		head, p = nil, p[n:]
	}
	return dst, k, nil
}

// seal appends one record and counts it. It does not allocate if dst has enough capacity.
func (k *Keys) seal(dst, p []byte, typ byte) []byte { return k.sealWith(dst, nil, p, typ) }

// sealWith is seal for head followed by p.
func (k *Keys) sealWith(dst, head, p []byte, typ byte) []byte {
	n := len(head) + len(p) + 1 + tagLen
	start := len(dst)
	dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
	body := len(dst)
	dst = append(dst, head...)
	dst = append(dst, p...)
	dst = append(dst, typ)
	dst = k.aead.Seal(dst[:body], k.nonceFor(k.half.seq), dst[body:], dst[start:body])
	k.half.seq++
	return dst
}

// AnswerUpdate makes the next Seal send a KeyUpdate first: one, however many the peer has
// requested. RFC 8446 section 4.6.3
// (https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3): "then the receiver MUST send a
// KeyUpdate of its own with request_update set to "update_not_requested" prior to sending
// its next Application Data record." So a peer that does not read cannot make the server
// queue replies.
func (s *State) AnswerUpdate() { s.write.updates = 1 }

// End appends an alert as the last record of this direction and erases the direction's
// secret. It appends nothing if the direction has ended already.
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
