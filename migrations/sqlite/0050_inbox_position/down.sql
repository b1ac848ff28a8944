ALTER TABLE inbox DROP COLUMN position;
