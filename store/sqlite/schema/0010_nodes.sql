-- Which node has saved a session, the key by which it is found alone ('': it is not), and the
-- time in Unix seconds at which others may take it (0: never).
ALTER TABLE saved_session ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE saved_session ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE saved_session ADD COLUMN until INTEGER NOT NULL DEFAULT 0;

CREATE INDEX saved_session_node ON saved_session (node, id);
CREATE INDEX saved_session_key ON saved_session (key) WHERE key <> '';
CREATE INDEX saved_session_until ON saved_session (until) WHERE until > 0;
