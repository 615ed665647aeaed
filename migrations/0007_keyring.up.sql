-- Which key file keyed what is stored here: with another one every digest would be a wrong one.
CREATE TABLE keyring (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  fingerprint TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT;
