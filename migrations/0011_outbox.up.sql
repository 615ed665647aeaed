-- Mail on its way. The text holds links that are as good as passwords: it is sealed with the key file.
CREATE TABLE outbox_messages (
  id INTEGER PRIMARY KEY,
  recipient TEXT NOT NULL,
  template TEXT NOT NULL,               -- what it is about: 'password_reset'
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,          -- after that nobody wants it any more
  next_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  held_until INTEGER,                   -- while a process sends it
  sent_at INTEGER,
  last_error TEXT
) STRICT;
CREATE INDEX outbox_messages_next_idx ON outbox_messages (next_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_messages_expires_idx ON outbox_messages (expires_at);
