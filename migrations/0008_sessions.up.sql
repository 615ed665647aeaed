-- Who is logged in, from where. Nothing secret: a refresh token carries a MAC of id and generation.
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  epoch INTEGER NOT NULL,               -- the account's security_epoch when it was opened
  generation INTEGER NOT NULL,          -- of the one refresh token that is good now
  refreshed_at INTEGER NOT NULL,        -- when that one was handed out
  created_at INTEGER NOT NULL,
  authenticated_at INTEGER NOT NULL,    -- when the person last proved who it is
  last_seen_at INTEGER NOT NULL,        -- written at most once a minute
  expires_at INTEGER NOT NULL,
  methods TEXT NOT NULL,                -- separated by spaces: 'password otp'
  ip TEXT,
  client TEXT,                          -- 'Firefox, Linux'
  revoked_at INTEGER,
  revoked_reason TEXT
) STRICT;
CREATE INDEX sessions_created_idx ON sessions (created_at, id);
CREATE INDEX sessions_user_idx ON sessions (user_id, created_at, id);
CREATE INDEX sessions_seen_idx ON sessions (last_seen_at);
CREATE INDEX sessions_expires_idx ON sessions (expires_at);
CREATE INDEX sessions_revoked_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Which keys sign access tokens, and when. The keys themselves are derived from the key file.
CREATE TABLE signing_keys (
  id TEXT PRIMARY KEY,                  -- the kid of a JWT
  algorithm TEXT NOT NULL CHECK (algorithm IN ('EdDSA', 'HS256')),
  created_at INTEGER NOT NULL,
  signs_from INTEGER NOT NULL,          -- published before that
  accepted_until INTEGER                -- null: it has no successor yet
) STRICT;
