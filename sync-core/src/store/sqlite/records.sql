CREATE TABLE IF NOT EXISTS records (
  space  INTEGER NOT NULL,
  key    BLOB    NOT NULL,
  suite  INTEGER NOT NULL,
  nonce  BLOB    NOT NULL,
  sealed BLOB    NOT NULL,
  PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS journal_rows_never_change BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'a row of the journal never changes'); END;
CREATE TRIGGER IF NOT EXISTS journal_rows_never_go BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'a row of the journal never goes'); END
