CREATE TABLE IF NOT EXISTS journal (
  position INTEGER PRIMARY KEY,
  journal  BLOB    NOT NULL CHECK (length(journal) = 16),
  seq      INTEGER NOT NULL CHECK (seq >= 1),
  hash     BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  suite    INTEGER NOT NULL,
  nonce    BLOB    NOT NULL,
  sealed   BLOB    NOT NULL,
  UNIQUE (journal, seq)
) STRICT
