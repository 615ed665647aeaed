-- Answers to requests with an Idempotency-Key, sealed with the key file, for a day.
CREATE TABLE idempotency_keys (
  digest BLOB PRIMARY KEY,              -- of caller, route and key
  request BLOB NOT NULL,                -- digest of the body
  answer BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at);
