-- The latest instant that a daemon has seen: a clock set back cannot revive what has expired.
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  high_water INTEGER NOT NULL
) STRICT;
INSERT INTO clock (id, high_water) VALUES (1, 0);
