-- When somebody last logged in to an account. Its sessions tell that too, but only until they are
-- purged.
ALTER TABLE users ADD COLUMN last_login_at INTEGER;
UPDATE users SET last_login_at =
  (SELECT MAX(s.created_at) FROM sessions s WHERE s.user_id = users.id)
WHERE id IN (SELECT user_id FROM sessions);
