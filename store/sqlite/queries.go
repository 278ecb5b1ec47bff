package sqlite

import "roost/store"

// query is the index of a statement that stays prepared.
type query int

const (
	qBegin query = iota
	qCommit
	qSavepoint
	qRelease
	qUndo

	qAccount
	qLastAccount
	qNextAccount
	qAccountRow
	qInsertAccount
	qSetCredentials
	qMissingKeys
	qSetDisabled
	qDeleteAccount
	qPutTombstone
	qForgetTombstones
	qTombstone
	qOldEvents
	qForgetContacts
	qForgetEvent
	qListAll
	qListDomain
	qLackSHA1All
	qLackSHA1Domain
	qLackSHA256All
	qLackSHA256Domain
	qInsertEvent
	qEvents
	qLastEvent
	qPutEventContact
	qEventContacts

	qLoginState
	qRosterItems
	qRosterRequests
	qItemsSince
	qRemovedSince
	qPutItem
	qDeleteItem
	qEndSubscription
	qItemState
	qApprovers
	qPutRemoved
	qDeleteRemoved
	qOldestKept
	qPruneRemoved
	qSetVersion
	qPutRequest
	qDeleteRequest
	qRequests

	qMailbox
	qMailboxFirst
	qSenderFirst
	qSenderLast
	qSenderFew
	qSenderCount
	qMailboxCount
	qAppendOffline
	qCountRefused
	qOffline
	qDeleteOffline
	qCountOffline
	qExpireOffline

	qBlob
	qBlobOf
	qBlocked
	qBlobKeys
	qBlobUsage
	qPutBlob
	qDeleteBlob
	qSetLastActivity
	qLastActivity
	qNoteUse
	qAccountUse

	qListBlocks
	qCountOtherBlocks
	qPutBlock
	qDeleteBlock
	qDeleteEndedBlocks

	qPutInvitation
	qForgetInvitations
	qCountInvitations
	qReserved
	qInvitation
	qListInvitations
	qDeleteInvitation
	qDeleteInvitationsOf
	qUseInvitation

	qPutSession
	qSessionsOf
	qSessionOf
	qSessionsBefore
	qDeleteSession
	qCountSessions

	numQueries
)

// account selects the ID of the account whose domain and localpart are the first two
// parameters.
const account = `(SELECT id FROM account WHERE domain = ?1 AND local = ?2)`

// keyColumns are the columns of an account's credentials; see readCredentials.
const keyColumns = `sha1_salt, sha1_iterations, sha1_stored, sha1_server,
	coalesce(sha256_salt, sha1_salt), coalesce(sha256_iterations, sha1_iterations), sha256_stored, sha256_server`

// nextEvent selects the ID of the next account event. The newest event is never deleted.
const nextEvent = `(SELECT coalesce(max(id), 0) + 1 FROM account_event)`

// accountUse is when an account was created, its last activity, and the day of its last use.
const accountUse = `created, coalesce((SELECT at FROM last_activity WHERE last_activity.account = account.id), 0),
	coalesce((SELECT day FROM account_use WHERE account_use.account = account.id), 0)`

// Lists of accounts: a condition comes after listWhere.
const (
	listWhere      = `SELECT domain, local, disabled, ` + accountUse + ` FROM account WHERE `
	listAllPage    = ` AND (domain, local) > (?1, ?2) ORDER BY domain, local LIMIT ?3`
	listDomainPage = ` AND domain = ?1 AND local > ?2 ORDER BY local LIMIT ?3`
)

// invitationColumns are the columns of an invitation; see readInvitation.
const invitationColumns = `id, domain, local, inviter, actor, contact, uses, created, until`

// queries are the statements. If a statement is about an account given by its address, its
// first two parameters are the domain and the localpart.
var queries = [numQueries]string{
	qBegin:     `BEGIN IMMEDIATE`,
	qCommit:    `COMMIT`,
	qSavepoint: `SAVEPOINT caller`,
	qRelease:   `RELEASE caller`,
	qUndo:      `ROLLBACK TO caller`,

	// If the account does not exist, this reads another one, so that both cases take
	// the same time. Column 12 distinguishes them.
	qAccount: `SELECT ` + keyColumns + `, disabled, created, generation, event, domain = ?1 AND local = ?2
		FROM account WHERE id = coalesce((SELECT id FROM account WHERE domain = ?1 AND local = ?2), (SELECT min(id) FROM account))`,
	qLastAccount: `SELECT coalesce(max(id), 0) FROM account`,
	qNextAccount: `SELECT ` + keyColumns + `, id FROM account WHERE id >= ?1 ORDER BY id LIMIT 1`,
	qAccountRow:  `SELECT id, roster_version, roster_floor, generation, event FROM account WHERE domain = ?1 AND local = ?2`,
	qInsertAccount: `INSERT INTO account (domain, local, sha1_salt, sha1_iterations, sha1_stored, sha1_server,
			sha256_salt, sha256_iterations, sha256_stored, sha256_server,
			disabled, created, roster_version, roster_floor, generation, event)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ` + nextEvent + `, ` + nextEvent + `) ON CONFLICT (domain, local) DO NOTHING`,
	qSetCredentials: `UPDATE account SET sha1_salt = ?3, sha1_iterations = ?4, sha1_stored = ?5, sha1_server = ?6,
			sha256_salt = ?7, sha256_iterations = ?8, sha256_stored = ?9, sha256_server = ?10,
			event = CASE WHEN ?11 THEN ` + nextEvent + ` ELSE event END
		WHERE domain = ?1 AND local = ?2`,
	// These conditions must be the same as in the indexes.
	qMissingKeys: `SELECT EXISTS (SELECT 1 FROM account WHERE domain = ?1 AND sha1_stored = X''),
		EXISTS (SELECT 1 FROM account WHERE domain = ?1 AND sha256_stored = X'')`,
	qPutTombstone:     `INSERT OR REPLACE INTO tombstone (jid, deleted) VALUES (?1, ?2)`,
	qForgetTombstones: `DELETE FROM tombstone WHERE jid IN (SELECT jid FROM tombstone WHERE deleted < ?1 ORDER BY deleted LIMIT ?2)`,
	qOldEvents:        `SELECT id, at FROM account_event WHERE id > ?1 AND id < (SELECT max(id) FROM account_event) ORDER BY id LIMIT ?2`, // the newest stays: servers continue from its ID
	qForgetContacts:   `DELETE FROM event_contact WHERE event = ?1`,
	qForgetEvent:      `DELETE FROM account_event WHERE id = ?1`,
	qTombstone:        `SELECT 1 FROM tombstone WHERE jid = ?1`,
	qSetDisabled:      `UPDATE account SET disabled = ?3, event = ` + nextEvent + ` WHERE domain = ?1 AND local = ?2`,
	qDeleteAccount:    `DELETE FROM account WHERE domain = ?1 AND local = ?2`,
	qListAll:          listWhere + `true` + listAllPage,
	qListDomain:       listWhere + `true` + listDomainPage,
	// These conditions must be the same as in the indexes.
	qLackSHA1All:      listWhere + `sha1_stored = X''` + listAllPage,
	qLackSHA1Domain:   listWhere + `sha1_stored = X''` + listDomainPage,
	qLackSHA256All:    listWhere + `sha256_stored = X''` + listAllPage,
	qLackSHA256Domain: listWhere + `sha256_stored = X''` + listDomainPage,
	qInsertEvent:      `INSERT INTO account_event (jid, kind, at) VALUES (?1, ?2, ?3)`,
	qEvents:           `SELECT id, jid, kind, at FROM account_event WHERE id > ?1 ORDER BY id LIMIT ?2`,
	qLastEvent:        `SELECT coalesce(max(id), 0) FROM account_event`,

	qPutEventContact: `INSERT INTO event_contact (event, contact, state) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`,
	qEventContacts:   `SELECT contact, state FROM event_contact WHERE event = ?1 AND contact > ?2 ORDER BY contact LIMIT ?3`,

	qLoginState: `SELECT id, roster_version, EXISTS (SELECT 1 FROM offline WHERE offline.account = account.id), generation,
			EXISTS (SELECT 1 FROM blob WHERE blob.account = account.id AND kind = '` + store.BlockedKind + `'),
			coalesce((SELECT day FROM account_use WHERE account_use.account = account.id), 0)
		FROM account WHERE domain = ?1 AND local = ?2`,
	qRosterItems:    `SELECT contact, name, groups, state, version FROM roster_item WHERE account = ?1`,
	qRosterRequests: `SELECT contact FROM roster_request WHERE account = ?1 ORDER BY id`,
	qItemsSince: `SELECT contact, name, groups, state, version FROM roster_item WHERE account = ?1 AND version > ?2
		ORDER BY version`,
	qRemovedSince: `SELECT contact, version FROM roster_removed WHERE account = ?1 AND version > ?2 ORDER BY version`,
	qPutItem: `INSERT INTO roster_item (account, contact, name, groups, state, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (account, contact) DO UPDATE SET name = excluded.name, groups = excluded.groups,
			state = excluded.state, version = excluded.version`,
	qEndSubscription: `UPDATE roster_item SET state = 0, version = ?3 WHERE account = ?1 AND contact = ?2 AND state <> 0`,
	qItemState:       `SELECT state FROM roster_item WHERE account = ?1 AND contact = ?2`,
	// This condition must be the same as in the index.
	qApprovers:     `SELECT domain, local FROM account WHERE id IN (SELECT account FROM roster_item WHERE contact = ?1 AND state & 8)`,
	qDeleteItem:    `DELETE FROM roster_item WHERE account = ?1 AND contact = ?2`,
	qPutRemoved:    `INSERT INTO roster_removed (account, contact, version) VALUES (?1, ?2, ?3)`,
	qDeleteRemoved: `DELETE FROM roster_removed WHERE account = ?1 AND contact = ?2`,
	// The newest item that exceeds the limit.
	qOldestKept:   `SELECT version FROM roster_removed WHERE account = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2`,
	qPruneRemoved: `DELETE FROM roster_removed WHERE account = ?1 AND version <= ?2`,
	qSetVersion:   `UPDATE account SET roster_version = ?2, roster_floor = ?3 WHERE id = ?1`,
	qPutRequest: `INSERT INTO roster_request (account, contact, received, stanza) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (account, contact) DO UPDATE SET received = excluded.received, stanza = excluded.stanza`,
	qDeleteRequest: `DELETE FROM roster_request WHERE account = ?1 AND contact = ?2`,
	qRequests:      `SELECT contact, received, stanza FROM roster_request WHERE account = ` + account + ` ORDER BY id`,

	qMailbox: `SELECT a.id, coalesce(l.seq, 0), coalesce(l.total, 0) FROM account AS a
		LEFT JOIN offline AS l ON l.account = a.id AND l.seq = (SELECT max(seq) FROM offline WHERE account = a.id)
		WHERE a.domain = ?1 AND a.local = ?2`,
	qMailboxFirst: `SELECT seq, total, size FROM offline WHERE account = ?1 ORDER BY seq LIMIT 1`,
	// This condition must be the same as in the index.
	qSenderFirst: `SELECT sender_seq, sender_total, size FROM offline WHERE account = ?1 AND sender = ?2 AND sender_seq > 0
		ORDER BY sender_seq LIMIT 1`,
	qSenderLast: `SELECT sender_seq, sender_total, size FROM offline WHERE account = ?1 AND sender = ?2 AND sender_seq > 0
		ORDER BY sender_seq DESC LIMIT 1`,
	qSenderFew: `SELECT count(*), coalesce(sum(size), 0)
		FROM (SELECT sender, sender_seq, size FROM offline WHERE account = ?1 ORDER BY seq LIMIT ?3)
		WHERE sender = ?2 AND sender_seq = 0`,
	qSenderCount:  `SELECT count(*), coalesce(sum(size), 0) FROM offline WHERE account = ?1 AND sender = ?2 AND sender_seq > 0`,
	qMailboxCount: `SELECT count(*), coalesce(sum(size), 0) FROM offline WHERE account = ?1`,
	qCountRefused: `UPDATE refused_message SET n = n + 1`,
	qAppendOffline: `INSERT INTO offline (account, seq, size, total, sender, sender_seq, sender_total, received, stanza)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
	qOffline:       `SELECT id, received, stanza FROM offline WHERE account = ` + account + ` AND id > ?3 ORDER BY seq`,
	qDeleteOffline: `DELETE FROM offline WHERE account = ` + account + ` AND id IN (SELECT value FROM json_each(?3))`,
	qCountOffline:  `SELECT count(*) FROM offline WHERE account = ` + account,
	// There is no index of times: it would cost a write for each message. IDs are in the order
	// in which messages were stored, and this looks at the first ones only.
	qExpireOffline: `DELETE FROM offline WHERE id IN (
		SELECT id FROM (SELECT id, received FROM offline ORDER BY id LIMIT ?2) WHERE received < ?1)`,

	qBlob:     `SELECT value FROM blob WHERE account = ` + account + ` AND kind = ?3 AND key = ?4`,
	qBlocked:  `SELECT 1 FROM blob WHERE account = ?1 AND kind = '` + store.BlockedKind + `' AND key IN (?2, ?3, ?4) LIMIT 1`,
	qBlobOf:   `SELECT value FROM blob WHERE account = ?1 AND kind = ?2 AND key = ?3`,
	qBlobKeys: `SELECT key FROM blob WHERE account = ?1 AND kind = ?2 ORDER BY key`,
	// length reads only the header of a value.
	qBlobUsage: `SELECT count(*), coalesce(sum(length(value)), 0) FROM blob WHERE account = ?1 AND kind = ?2`,
	qPutBlob: `INSERT INTO blob (account, kind, key, value) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (account, kind, key) DO UPDATE SET value = excluded.value`,
	qDeleteBlob: `DELETE FROM blob WHERE account = ?1 AND kind = ?2 AND key = ?3`,
	qSetLastActivity: `INSERT INTO last_activity (account, at, status) SELECT id, ?3, ?4 FROM account
		WHERE domain = ?1 AND local = ?2 AND (?5 = 0 OR generation <= ?5)
		ON CONFLICT (account) DO UPDATE SET at = excluded.at, status = excluded.status`,
	qLastActivity: `SELECT at, status FROM last_activity WHERE account = ` + account,
	qNoteUse: `INSERT INTO account_use (account, day) SELECT id, ?3 FROM account
		WHERE domain = ?1 AND local = ?2 AND (?4 = 0 OR generation <= ?4)
		ON CONFLICT (account) DO UPDATE SET day = excluded.day WHERE day < excluded.day`,
	qAccountUse: `SELECT ` + accountUse + ` FROM account WHERE id = ?1`,

	qListBlocks:       `SELECT target, reason, actor, created, until FROM block ORDER BY target`,
	qCountOtherBlocks: `SELECT count(*) FROM block WHERE target <> ?1`,
	qPutBlock: `INSERT INTO block (target, reason, actor, created, until) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, actor = excluded.actor, created = excluded.created, until = excluded.until`,
	qDeleteBlock:       `DELETE FROM block WHERE target = ?1`,
	qDeleteEndedBlocks: `DELETE FROM block WHERE until > 0 AND until <= ?1`,

	qPutInvitation:       `INSERT INTO invitation (` + invitationColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
	qForgetInvitations:   `DELETE FROM invitation WHERE until <= ?1`,
	qCountInvitations:    `SELECT count(*) FROM invitation WHERE inviter = ?1 AND until > ?2`,
	qReserved:            `SELECT 1 FROM invitation WHERE domain = ?1 AND local = ?2 AND local <> '' AND uses > 0 AND until > ?3 AND id <> ?4`,
	qInvitation:          `SELECT ` + invitationColumns + ` FROM invitation WHERE id = ?1`,
	qListInvitations:     `SELECT ` + invitationColumns + ` FROM invitation WHERE id > ?1 ORDER BY id LIMIT ?2`,
	qDeleteInvitation:    `DELETE FROM invitation WHERE id = ?1`,
	qDeleteInvitationsOf: `DELETE FROM invitation WHERE inviter = ?1`,
	qUseInvitation:       `UPDATE invitation SET uses = uses - 1 WHERE id = ?1`,

	qPutSession:     `INSERT INTO saved_session (node, key, until, data) VALUES (?1, ?2, ?3, ?4)`,
	qSessionsOf:     `SELECT id, data FROM saved_session WHERE node = ?1 ORDER BY id LIMIT ?2`,
	qSessionOf:      `SELECT id, data FROM saved_session WHERE key = ?1 AND key <> '' ORDER BY id`,
	qSessionsBefore: `SELECT id, data FROM saved_session WHERE until > 0 AND until <= ?1 ORDER BY id LIMIT ?2`,
	qDeleteSession:  `DELETE FROM saved_session WHERE id = ?1`,
	qCountSessions:  `SELECT count(*) FROM saved_session`,
}
