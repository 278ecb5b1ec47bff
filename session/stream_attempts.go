package session

import "slices"

// Results of attempts to authenticate, for the counters. SASL error conditions follow after
// these.
const (
	attemptSucceeded = iota
	attemptWrong     // the password was wrong
	attemptUnknown   // there is no such account
	attemptRefused   // too many attempts have failed before
	attemptSASL
)

// attemptNames are the results' names.
var attemptNames = [...]string{attemptSucceeded: "success", attemptWrong: "wrong-password", attemptUnknown: "unknown-account", attemptRefused: "refused"}

// saslErrors are all SASL error conditions that are sent.
var saslErrors = [...]saslError{
	saslAborted, saslAccountDisabled, saslCredentialsExpired, saslEncryptionRequired, saslIncorrectEncoding, saslInvalidAuthzid,
	saslInvalidMechanism, saslMalformedRequest, saslNotAuthorized, saslTemporaryFailure,
}

const (
	attemptResults = attemptSASL + len(saslErrors)
	maxMechanisms  = 15 // that attempts are counted for
)

// countAttempts counts by mechanism, in the order in which they are offered and after them
// "unknown", and by result.
var countAttempts = NewCounter((maxMechanisms + 1) * attemptResults)

// countAttempt counts an attempt by a mechanism, nil for one that is not offered. One that
// has failed is published.
func (s *Session) countAttempt(t *Turn, m *mechanism, result int) {
	by := len(s.mgr.mechs)
	if m != nil {
		by = slices.IndexFunc(s.mgr.mechs, func(x mechanism) bool { return x.name == m.name })
	}
	countAttempts.Add(t, by*attemptResults+result, 1)
	if result != attemptSucceeded {
		s.publishFailure(m, result)
	}
}

// attemptName is the name of a result.
func attemptName(result int) string {
	if result < attemptSASL {
		return attemptNames[result]
	}
	return string(saslErrors[result-attemptSASL])
}

// attemptFailed returns the result of an attempt that was refused with a condition.
func attemptFailed(cond saslError) int { return attemptSASL + slices.Index(saslErrors[:], cond) }

// result returns the result of an attempt that has failed with a condition.
func (l *lookup) result(cond saslError) int {
	switch {
	case l.refused:
		return attemptRefused
	case l.wrong && l.exists:
		return attemptWrong
	case l.wrong:
		return attemptUnknown
	}
	return attemptFailed(cond)
}

// attempts returns the numbers of attempts: those with success for each mechanism, and
// others that have occurred.
func (m *Manager) attempts() (all []Attempts) {
	for by := range len(m.mechs) + 1 {
		name := "unknown"
		if by < len(m.mechs) {
			name = m.mechs[by].name
		}
		for result := range attemptResults {
			a := Attempts{Mechanism: name, Result: attemptName(result), Count: countAttempts.Total(m, by*attemptResults+result)}
			if a.Count > 0 || result == attemptSucceeded && by < len(m.mechs) {
				all = append(all, a)
			}
		}
	}
	return all
}
