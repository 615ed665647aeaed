CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL,               -- as it was typed
  username_key TEXT NOT NULL,           -- NFKC, lower case: what is unique
  email TEXT,                           -- lower case
  email_verified_at INTEGER,            -- null: nobody has shown that it is theirs
  phone TEXT,                           -- E.164
  name TEXT,
  name_key TEXT,                        -- NFKC, lower case: what is searched
  locale TEXT,                          -- BCP 47
  meta TEXT,                            -- JSON object of the account's own
  state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
  disabled_at INTEGER,
  disabled_reason TEXT,
  deleted_at INTEGER CHECK ((deleted_at IS NOT NULL) = (state = 'deleted')),
  erased_at INTEGER,                    -- since when nothing here is about a person any more
  security_epoch INTEGER NOT NULL DEFAULT 0, -- grows when all that was opened must end
  ended_at INTEGER,                     -- when it grew last
  password_hash TEXT,                   -- PHC string; null: nobody can log in with a password
  password_changed_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_username_key ON users (username_key);
CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE UNIQUE INDEX users_phone_key ON users (phone);
CREATE INDEX users_created_idx ON users (created_at, id);
CREATE INDEX users_ended_idx ON users (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX users_deleted_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
CREATE INDEX user_roles_role_idx ON user_roles (role, user_id);
