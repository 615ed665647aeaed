DROP TABLE progress;
DROP TABLE lessons;
DROP TABLE modules;
DROP TABLE enrolments;
DROP TABLE attachments;
DROP TABLE course_tags;
DROP TABLE courses;
-- Whoever is an author and nothing else becomes an ordinary user.
CREATE TABLE user_roles_copy (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
INSERT INTO user_roles_copy (user_id, role, granted_at)
  SELECT user_id, role, granted_at FROM user_roles WHERE role <> 'author';
INSERT INTO user_roles_copy (user_id, role, granted_at)
  SELECT a.user_id, 'user', a.granted_at FROM user_roles a
  WHERE a.role = 'author' AND NOT EXISTS
    (SELECT 1 FROM user_roles o WHERE o.user_id = a.user_id AND o.role <> 'author');
DROP TABLE user_roles;
CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
INSERT INTO user_roles (user_id, role, granted_at)
  SELECT user_id, role, granted_at FROM user_roles_copy;
DROP TABLE user_roles_copy;
CREATE INDEX user_roles_role_idx ON user_roles (role, user_id);
