-- What was entered by telephone has no row then; the ledger keeps it.
DELETE FROM reports WHERE entered_by IS NOT NULL;
DROP INDEX reports_merged;
DROP INDEX reports_by_telephone;
ALTER TABLE reports
    DROP COLUMN merged_into,
    DROP COLUMN entered_by,
    ALTER COLUMN device SET NOT NULL,
    ALTER COLUMN accreditation SET NOT NULL;
