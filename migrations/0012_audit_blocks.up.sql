-- The audit log in sealed blocks. Each is hashed together with the one before it and signed with a
-- key that is not in the database: a row that is changed, removed, added or moved later is found.
CREATE TABLE audit_blocks (
  number INTEGER PRIMARY KEY,           -- 1, 2, 3, … without a gap
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,             -- it holds all rows after the block before, up to this one
  entries INTEGER NOT NULL,
  rows_sha256 BLOB NOT NULL,
  marks BLOB,                           -- of each row the id and a part of its digest; null once the rows are gone
  sealed_at INTEGER NOT NULL,
  previous BLOB NOT NULL,               -- the hash of the block before
  hash BLOB NOT NULL,
  sealed_by TEXT NOT NULL,              -- the public key of the signature
  signature BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX audit_blocks_last_id_key ON audit_blocks (last_id);
CREATE INDEX audit_blocks_kept_idx ON audit_blocks (sealed_at) WHERE marks IS NOT NULL;

-- Where the chain ends. One row, once anything was sealed.
CREATE TABLE audit_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  ceiling INTEGER NOT NULL,             -- no row is added any more with an id up to this one
  number INTEGER NOT NULL,              -- of the newest block
  last_id INTEGER NOT NULL,             -- the same as there
  hash BLOB NOT NULL,
  dropped INTEGER NOT NULL,             -- up to the block of this number the rows are gone
  sealed_by TEXT NOT NULL,
  signature BLOB NOT NULL
) STRICT;
