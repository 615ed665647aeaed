-- Quizzes of courses, what is asked in them, and what people answered.
CREATE TABLE quizzes (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
  slug TEXT NOT NULL,
  settings TEXT NOT NULL,               -- JSON: title, limits, which attempt counts
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX quizzes_slug_key ON quizzes (course_id, slug);

-- A question that was asked is never deleted while its quiz stands: attempts are graded by it.
CREATE TABLE questions (
  id TEXT PRIMARY KEY,
  quiz_id TEXT NOT NULL REFERENCES quizzes (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position > 0),
  question TEXT NOT NULL,               -- JSON: text, points, pool, what is right
  retired_at INTEGER,                   -- since then it is asked no more
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX questions_name_key ON questions (quiz_id, name) WHERE retired_at IS NULL;
CREATE INDEX questions_quiz_idx ON questions (quiz_id, position);

-- More time and more attempts for one person.
CREATE TABLE allowances (
  quiz_id TEXT NOT NULL REFERENCES quizzes (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  extra_time INTEGER NOT NULL CHECK (extra_time >= 0),     -- ms
  extra_attempts INTEGER NOT NULL CHECK (extra_attempts >= 0),
  PRIMARY KEY (quiz_id, user_id)
) STRICT;
CREATE INDEX allowances_user_idx ON allowances (user_id);

CREATE TABLE attempts (
  id TEXT PRIMARY KEY,
  quiz_id TEXT NOT NULL REFERENCES quizzes (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK (number > 0),
  seed INTEGER NOT NULL,                -- decides in which order things are shown
  shuffled INTEGER NOT NULL CHECK (shuffled IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('in_progress', 'submitted', 'abandoned')),
  started_at INTEGER NOT NULL,
  deadline INTEGER,
  closes_at INTEGER,                    -- the deadline and the grace after it
  abandons INTEGER NOT NULL CHECK (abandons IN (0, 1)),    -- at the deadline, instead of being graded
  ended_at INTEGER,
  timed_out INTEGER NOT NULL CHECK (timed_out IN (0, 1)),
  points INTEGER,                       -- hundredths; none until all is graded
  most INTEGER NOT NULL,                -- hundredths that could be earned
  CHECK ((state = 'in_progress') = (ended_at IS NULL))
) STRICT;
CREATE UNIQUE INDEX attempts_number_key ON attempts (quiz_id, user_id, number);
CREATE INDEX attempts_user_idx ON attempts (user_id, started_at, id);
CREATE INDEX attempts_quiz_idx ON attempts (quiz_id, started_at, id);
CREATE INDEX attempts_closes_idx ON attempts (closes_at) WHERE state = 'in_progress';

-- One row for each question of an attempt, from its beginning on.
CREATE TABLE answers (
  attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
  question_id TEXT NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
  position INTEGER NOT NULL CHECK (position > 0),
  seq INTEGER NOT NULL CHECK (seq >= 0),                   -- the client's number; 0: nothing came yet
  answer TEXT,                          -- JSON, with places in the author's order
  saved_at INTEGER,
  points INTEGER,                       -- hundredths
  graded_by TEXT,                       -- the person who gave them, as the audit log names them
  comment TEXT,
  PRIMARY KEY (attempt_id, question_id)
) STRICT;
CREATE INDEX answers_question_idx ON answers (question_id);
