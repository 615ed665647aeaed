-- A token that a restored backup brought back is refused until an operator enables it: it may have
-- been revoked since.
ALTER TABLE tokens ADD COLUMN suspended_at INTEGER;
CREATE INDEX tokens_suspended_idx ON tokens (id) WHERE suspended_at IS NOT NULL;
