DROP INDEX tokens_suspended_idx;
ALTER TABLE tokens DROP COLUMN suspended_at;
