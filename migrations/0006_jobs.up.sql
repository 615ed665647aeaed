-- One row a job: who runs it now, when it is due again.
CREATE TABLE jobs (
  name TEXT PRIMARY KEY,
  next_at INTEGER NOT NULL,
  holder TEXT,                          -- the process that runs it
  held_until INTEGER                    -- when the others may take over from a dead holder
) STRICT;

-- One row a run.
CREATE TABLE job_runs (
  id INTEGER PRIMARY KEY,
  job TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  result TEXT CHECK (result IN ('ok', 'partial', 'failed')),
  trigger_kind TEXT NOT NULL CHECK (trigger_kind IN ('schedule', 'shell', 'api')),
  details TEXT
) STRICT;
CREATE INDEX job_runs_job_idx ON job_runs (job, id);
