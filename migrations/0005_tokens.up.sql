-- Opaque credentials. The row is narrow and its key grows with time: issuing always appends.
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('temporary', 'api', 'invitation', 'password_reset', 'login_link', 'email')),
  digest BLOB NOT NULL,                 -- HMAC-SHA-256 keyed by the key file
  hint TEXT NOT NULL,                   -- the secret's last 4 characters, for display
  created_at INTEGER NOT NULL,
  expires_at INTEGER CHECK (expires_at IS NOT NULL OR kind = 'api'),
  not_before INTEGER,
  max_uses INTEGER CHECK (max_uses > 0),
  used INTEGER NOT NULL DEFAULT 0,
  last_used_at INTEGER,
  revoked_at INTEGER,
  owner_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  owner_epoch INTEGER,                  -- the owner's security_epoch when it was issued
  label TEXT,
  scopes TEXT,                          -- separated by spaces
  cidr TEXT,
  meta TEXT                             -- JSON object
) STRICT;
CREATE INDEX tokens_expires_idx ON tokens (expires_at);
CREATE INDEX tokens_owner_idx ON tokens (owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX tokens_label_idx ON tokens (label, id) WHERE label IS NOT NULL;
CREATE INDEX tokens_revoked_idx ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_used_up_idx ON tokens (last_used_at) WHERE used >= max_uses;
