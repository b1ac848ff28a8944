-- Reports by telephone: filed by the server for whoever listened, so without a phone, and
-- a citizen's without an accreditation.
ALTER TABLE reports
    -- whose report it is; none of a citizen's
    ALTER COLUMN accreditation DROP NOT NULL,
    -- the phone that filed it; none for one by telephone
    ALTER COLUMN device DROP NOT NULL,
    -- by telephone: the account of whoever listened
    ADD COLUMN entered_by BYTEA,
    -- by telephone: the report that tells the same, once a person has said so
    ADD COLUMN merged_into BYTEA;
-- Few reports are by telephone: filing from a phone pays nothing for these.
CREATE INDEX reports_by_telephone ON reports (mission, first_number) WHERE entered_by IS NOT NULL;
CREATE INDEX reports_merged ON reports (mission, merged_into) WHERE merged_into IS NOT NULL;
