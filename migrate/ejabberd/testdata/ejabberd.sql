PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE users (
    username text PRIMARY KEY,
    password text NOT NULL,
    serverkey text NOT NULL DEFAULT '',
    salt text NOT NULL DEFAULT '',
    iterationcount integer NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO users VALUES('juliet','R1lyBx2CmuHX9u79FNVCgJXa7y0=','fGR1BSvzqy+pmBoPpw38LKRg7jM=','caksFf/QsIdb1+vkTdgqRQ==',4096,'2026-11-29 11:31:01');
INSERT INTO users VALUES('romeo','z39U2r7iZut9ohce8pFfhEDB9fA=','/p6cOqhTw+diZftU9H6F3lKgrkc=','vZgkXSna+DMqVfW/Ti10kQ==',4096,'2026-11-29 11:31:01');
INSERT INTO users VALUES('mercutio','wvEdv77BoLB6DCJi0COY/iQBtSU=','h48khIp9XrCEy5IUP0/QZC/nDqw=','5wcZyMzf3ylNK+a0SlU37g==',4096,'2026-11-29 11:31:01');
CREATE TABLE last (
    username text PRIMARY KEY,
    seconds text NOT NULL,
    state text NOT NULL
);
INSERT INTO "last" VALUES('juliet','1795951865','Good night');
INSERT INTO "last" VALUES('romeo','1795951868','Stream reset by peer');
INSERT INTO "last" VALUES('mercutio','1795951861','Registered but didn''t login');
CREATE TABLE rosterusers (
    username text NOT NULL,
    jid text NOT NULL,
    nick text NOT NULL,
    subscription character(1) NOT NULL,
    ask character(1) NOT NULL,
    askmessage text NOT NULL,
    server character(1) NOT NULL,
    subscribe text NOT NULL,
    type text,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO rosterusers VALUES('juliet','romeo@localhost','Romeo & <Co> ä"','T','I','','N','','item','2026-11-29 11:31:03');
INSERT INTO rosterusers VALUES('juliet','nurse@example.org','Nurse','N','N','','N','','item','2026-11-29 11:31:03');
INSERT INTO rosterusers VALUES('romeo','juliet@localhost','','B','N','','N','','item','2026-11-29 11:31:03');
INSERT INTO rosterusers VALUES('juliet','mercutio@localhost','','N','O','','N','','item','2026-11-29 11:31:04');
INSERT INTO rosterusers VALUES('mercutio','juliet@localhost','','N','I','','N','','item','2026-11-29 11:31:04');
CREATE TABLE rostergroups (
    username text NOT NULL,
    jid text NOT NULL,
    grp text NOT NULL
);
INSERT INTO rostergroups VALUES('juliet','romeo@localhost','Friends');
INSERT INTO rostergroups VALUES('juliet','romeo@localhost','Verona');
CREATE TABLE spool (
    username text NOT NULL,
    xml text NOT NULL,
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO spool VALUES('juliet','<message xml:lang=''en'' to=''juliet@localhost'' from=''romeo@localhost/r'' type=''chat'' id=''m1'' xmlns=''jabber:client''><active xmlns=''http://jabber.org/protocol/chatstates''/><delay from=''localhost'' stamp=''2026-11-29T11:31:07.069585Z'' xmlns=''urn:xmpp:delay''>Offline Storage</delay><body>Where &amp; are &quot;you&quot;? ä</body></message>',1,'2026-11-29 11:31:07');
INSERT INTO spool VALUES('juliet','<message xml:lang=''en'' to=''juliet@localhost'' from=''romeo@localhost/r'' type=''chat'' id=''m2'' xmlns=''jabber:client''><delay from=''localhost'' stamp=''2026-11-29T11:31:07.099422Z'' xmlns=''urn:xmpp:delay''>Offline Storage</delay><body>second</body></message>',2,'2026-11-29 11:31:07');
CREATE TABLE archive (
    username text NOT NULL,
    timestamp BIGINT UNSIGNED NOT NULL,
    peer text NOT NULL,
    bare_peer text NOT NULL,
    xml text NOT NULL,
    txt text,
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind text,
    nick text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE vcard (
    username text PRIMARY KEY,
    vcard text NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO vcard VALUES('juliet','<vCard xmlns=''vcard-temp''><N><FAMILY>C</FAMILY></N><FN>Juliet Capulet</FN></vCard>','2026-11-29 11:31:04');
CREATE TABLE vcard_search (
    username text NOT NULL,
    lusername text PRIMARY KEY,
    fn text NOT NULL,
    lfn text NOT NULL,
    family text NOT NULL,
    lfamily text NOT NULL,
    given text NOT NULL,
    lgiven text NOT NULL,
    middle text NOT NULL,
    lmiddle text NOT NULL,
    nickname text NOT NULL,
    lnickname text NOT NULL,
    bday text NOT NULL,
    lbday text NOT NULL,
    ctry text NOT NULL,
    lctry text NOT NULL,
    locality text NOT NULL,
    llocality text NOT NULL,
    email text NOT NULL,
    lemail text NOT NULL,
    orgname text NOT NULL,
    lorgname text NOT NULL,
    orgunit text NOT NULL,
    lorgunit text NOT NULL
);
INSERT INTO vcard_search VALUES('juliet','juliet','Juliet Capulet','juliet capulet','C','c','','','','','','','','','','','','','','','','','','');
CREATE TABLE privacy_default_list (
    username text PRIMARY KEY,
    name text NOT NULL
);
INSERT INTO privacy_default_list VALUES('juliet','Blocked contacts');
CREATE TABLE privacy_list (
    username text NOT NULL,
    name text NOT NULL,
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO privacy_list VALUES('juliet','Blocked contacts',1,'2026-11-29 11:31:04');
CREATE TABLE privacy_list_data (
    id bigint REFERENCES privacy_list(id) ON DELETE CASCADE,
    t character(1) NOT NULL,
    value text NOT NULL,
    action character(1) NOT NULL,
    ord NUMERIC NOT NULL,
    match_all boolean NOT NULL,
    match_iq boolean NOT NULL,
    match_message boolean NOT NULL,
    match_presence_in boolean NOT NULL,
    match_presence_out boolean NOT NULL
);
INSERT INTO privacy_list_data VALUES(1,'j','tybalt@example.org','d',0,1,0,0,0,0);
INSERT INTO privacy_list_data VALUES(1,'j','spam.example','d',0,1,0,0,0,0);
CREATE TABLE private_storage (
    username text NOT NULL,
    namespace text NOT NULL,
    data text NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO private_storage VALUES('juliet','exodus:prefs','<exodus xmlns=''exodus:prefs''><defaultnick a=''1''>Jul &amp; x</defaultnick></exodus>','2026-11-29 11:31:04');
INSERT INTO private_storage VALUES('juliet','storage:bookmarks','<storage xmlns=''storage:bookmarks''><conference jid=''room@conf.example'' autojoin=''1''><nick>J</nick></conference></storage>','2026-11-29 11:31:04');
CREATE TABLE roster_version (
    username text PRIMARY KEY,
    version text NOT NULL
);
CREATE TABLE pubsub_node (
  host text NOT NULL,
  node text NOT NULL,
  parent text NOT NULL DEFAULT '',
  plugin text NOT NULL,
  nodeid INTEGER PRIMARY KEY AUTOINCREMENT
);
COMMIT;
