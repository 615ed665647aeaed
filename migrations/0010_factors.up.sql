-- Second factors: a secret for one-time passwords (RFC 6238), sealed with the key file.
CREATE TABLE totp_factors (
  user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  confirmed_at INTEGER,                 -- null: not asked for yet
  last_step INTEGER NOT NULL DEFAULT 0  -- of the last code that was taken: none is taken twice
) STRICT;

CREATE TABLE recovery_codes (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest BLOB NOT NULL,
  used_at INTEGER,
  PRIMARY KEY (user_id, digest)
) STRICT;
