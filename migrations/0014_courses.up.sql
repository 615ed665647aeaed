-- Who writes courses has a role. A check cannot be widened in place on both engines: the table is
-- made anew, and nothing refers to it.
-- lint: allow drop_table: its rows are in the copy, and go back into the new one
CREATE TABLE user_roles_copy (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
INSERT INTO user_roles_copy (user_id, role, granted_at)
  SELECT user_id, role, granted_at FROM user_roles;
DROP TABLE user_roles;
CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'author', 'user')),
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;
INSERT INTO user_roles (user_id, role, granted_at)
  SELECT user_id, role, granted_at FROM user_roles_copy;
DROP TABLE user_roles_copy;
CREATE INDEX user_roles_role_idx ON user_roles (role, user_id);

CREATE TABLE courses (
  id TEXT PRIMARY KEY,
  slug TEXT NOT NULL,                   -- lower case
  title TEXT NOT NULL,
  summary TEXT NOT NULL,
  words TEXT NOT NULL,                  -- slug, title and summary, NFKC, lower case: what is searched
  language TEXT,                        -- BCP 47
  state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'archived')),
  visibility TEXT NOT NULL CHECK (visibility IN ('public', 'enrolled', 'role:admin', 'role:author', 'role:user')),
  enrolment TEXT NOT NULL CHECK (enrolment IN ('open', 'invitation', 'closed')),
  owner_id TEXT REFERENCES users (id) ON DELETE SET NULL,
  version INTEGER NOT NULL,             -- grows with every change: the ETag
  published_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX courses_slug_key ON courses (slug);
CREATE INDEX courses_created_idx ON courses (created_at, id);
CREATE INDEX courses_state_idx ON courses (state, created_at, id);
CREATE INDEX courses_owner_idx ON courses (owner_id, created_at, id);

CREATE TABLE course_tags (
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  tag TEXT NOT NULL,                    -- lower case
  PRIMARY KEY (course_id, tag)
) STRICT;
CREATE INDEX course_tags_tag_idx ON course_tags (tag, course_id);

-- Files that belong to a course. Their sort is found in the bytes, not in the name.
CREATE TABLE attachments (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  bytes BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX attachments_name_key ON attachments (course_id, name);

CREATE TABLE enrolments (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'withdrawn')),
  since INTEGER NOT NULL,               -- in this state
  by_whom TEXT NOT NULL,                -- who brought it there, by id, as the audit log names them
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX enrolments_course_key ON enrolments (course_id, user_id);
CREATE INDEX enrolments_user_idx ON enrolments (user_id, course_id);
CREATE INDEX enrolments_created_idx ON enrolments (course_id, created_at, id);

CREATE TABLE modules (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  slug TEXT NOT NULL,
  title TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position > 0)
) STRICT;
CREATE UNIQUE INDEX modules_slug_key ON modules (course_id, slug);

CREATE TABLE lessons (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  module_id TEXT NOT NULL REFERENCES modules (id) ON DELETE CASCADE,
  slug TEXT NOT NULL,
  title TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position > 0), -- within its module
  source TEXT NOT NULL,                 -- Markdown
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX lessons_slug_key ON lessons (course_id, slug);
CREATE INDEX lessons_module_idx ON lessons (module_id, position);

CREATE TABLE progress (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  lesson_id TEXT NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
  state TEXT NOT NULL CHECK (state IN ('in_progress', 'completed')), -- without a row: not started
  at INTEGER NOT NULL,
  PRIMARY KEY (user_id, lesson_id)
) STRICT;
CREATE INDEX progress_lesson_idx ON progress (lesson_id, user_id);
