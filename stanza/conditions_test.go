package stanza

import "testing"

// TestConditions: each error that roost sends has a place of its own among the conditions.
func TestConditions(t *testing.T) {
	seen := map[int]bool{ConditionIndex("no such condition"): true}
	for _, e := range []*ErrorReply{BadRequest, Conflict, Forbidden, InternalServerError, ItemNotFound, JIDMalformed, NotAcceptable,
		NotAllowed, NotAuthorized, RemoteServerNotFound, ResourceConstraint, ServiceUnavailable, UnexpectedRequest} {
		i := ConditionIndex(e.Condition)
		if seen[i] || Conditions[i] != e.Condition {
			t.Errorf("%s has the index %d, of %s", e.Condition, i, Conditions[i])
		}
		seen[i] = true
	}
}
