-- Who did what to which object. Rows are only ever added, in the transaction of the change itself.
CREATE TABLE audit_events (
  id INTEGER PRIMARY KEY,               -- 63 bits, grows with time: appending, never in between
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  ip TEXT,
  request_id TEXT,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  -- Not IN: for a list of three, SQLite builds a table in memory with each row that is added.
  result TEXT NOT NULL CHECK (result = 'ok' OR result = 'denied' OR result = 'failed'),
  details TEXT                          -- JSON of allow-listed members
) STRICT;
CREATE INDEX audit_events_object_idx ON audit_events (object, id);
