-- Mail on its way. The text holds links that are as good as passwords: it is sealed with the key
-- file, and forgotten as soon as it is sent.
CREATE TABLE outbox_messages (
  id INTEGER PRIMARY KEY,
  recipient TEXT NOT NULL,              -- empty: a decoy, which is never sent
  template TEXT NOT NULL,               -- what it is about: 'password_reset'
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,          -- after that nobody wants it any more
  next_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  held_until INTEGER,                   -- while a process sends it
  done_at INTEGER,
  result TEXT CHECK (result IN ('sent', 'failed', 'decoy')),
  last_error TEXT,
  CHECK ((done_at IS NULL) = (result IS NULL))
) STRICT;
CREATE INDEX outbox_messages_next_idx ON outbox_messages (next_at) WHERE done_at IS NULL;
CREATE INDEX outbox_messages_expires_idx ON outbox_messages (expires_at) WHERE done_at IS NULL;
CREATE INDEX outbox_messages_recipient_idx ON outbox_messages (recipient);
CREATE INDEX outbox_messages_done_idx ON outbox_messages (done_at) WHERE done_at IS NOT NULL;
