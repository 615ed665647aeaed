-- Failed logins of an account, or of a name that nobody has: the delay grows with them.
CREATE TABLE login_failures (
  account TEXT PRIMARY KEY,             -- 'user:<id>', or 'name:<MAC>' of a name that nobody has
  failures INTEGER NOT NULL,            -- one after the other
  last_at INTEGER NOT NULL,
  delayed_until INTEGER NOT NULL        -- 9223372036854775807: off until somebody clears it
) STRICT;
CREATE INDEX login_failures_last_idx ON login_failures (last_at);
CREATE INDEX login_failures_delayed_idx ON login_failures (delayed_until, account);

-- From where an account logged in of late: its owner is not kept waiting because of somebody else.
CREATE TABLE known_networks (
  account TEXT NOT NULL,
  network BLOB NOT NULL,                -- MAC of account and network
  last_at INTEGER NOT NULL,
  PRIMARY KEY (account, network)
) STRICT;
CREATE INDEX known_networks_last_idx ON known_networks (last_at);

-- Networks that are not answered.
CREATE TABLE bans (
  network TEXT PRIMARY KEY,             -- CIDR, no bit set behind the prefix
  reason TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER                    -- null: until it is removed
) STRICT;
CREATE INDEX bans_created_idx ON bans (created_at, network);
CREATE INDEX bans_expires_idx ON bans (expires_at);
