CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL,               -- as it was typed
  username_key TEXT NOT NULL,           -- NFKC, lower case: what is unique
  email TEXT,                           -- lower case
  phone TEXT,                           -- E.164
  name TEXT,
  name_key TEXT,                        -- NFKC, lower case: what is searched
  state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
  disabled_reason TEXT,
  password_hash TEXT,                   -- PHC string; null: nobody can log in with a password
  password_changed_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_username_key ON users (username_key);
CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE UNIQUE INDEX users_phone_key ON users (phone);
CREATE INDEX users_created_idx ON users (created_at, id);

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
CREATE INDEX user_roles_role_idx ON user_roles (role, user_id);
