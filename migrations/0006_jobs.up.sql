-- One row a job that only one process runs at a time: when it last began, and who runs it now.
CREATE TABLE jobs (
  name TEXT NOT NULL PRIMARY KEY,
  last_at INTEGER,
  holder TEXT,                          -- the process that runs it
  held_until INTEGER,                   -- when the others may take over from a dead holder
  CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT;

-- One row a run.
CREATE TABLE job_runs (
  id INTEGER PRIMARY KEY,
  job TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  result TEXT CHECK (result IN ('ok', 'partial', 'failed')),
  trigger_kind TEXT NOT NULL CHECK (trigger_kind IN ('schedule', 'shell', 'api')),
  details TEXT                          -- JSON object
) STRICT;
CREATE INDEX job_runs_job_idx ON job_runs (job, id);
