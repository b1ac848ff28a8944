-- projection: a decision that was handed back and held counts later than its own
-- number says, and cursors may be past that by then. So it comes as news at the
-- number from which it counts; without one, at its own.
ALTER TABLE inbox ADD COLUMN position BIGINT;
