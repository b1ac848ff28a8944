-- Reports by telephone: filed by the server for whoever listened, so without a phone, and
-- a citizen's without an accreditation.
-- SQLite takes a NOT NULL away by copying the table alone.
CREATE TABLE reports_anew (
    mission INTEGER NOT NULL,
    first_number BIGINT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version BIGINT NOT NULL,
    head BLOB NOT NULL,
    revisions INTEGER NOT NULL,
    -- whose report it is; none of a citizen's
    accreditation BLOB,
    -- the phone that filed it; none for one by telephone
    device BLOB,
    category TEXT NOT NULL,
    -- the observer's own, or else the category's default
    severity TEXT CHECK (severity = 'low' OR severity = 'medium' OR severity = 'high' OR severity = 'critical'),
    own_severity BOOLEAN NOT NULL,
    text TEXT,
    folded TEXT,
    station TEXT,
    constituency TEXT,
    lat DOUBLE PRECISION,
    lon DOUBLE PRECISION,
    accuracy DOUBLE PRECISION,
    observed_at BIGINT,
    filed_at BIGINT,
    received_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status = 'received' OR status = 'in_review' OR status = 'needs_info' OR status = 'verified' OR status = 'not_verified' OR status = 'dismissed' OR status = 'reopened'),
    withdrawn BOOLEAN NOT NULL,
    erased BOOLEAN NOT NULL,
    flags INTEGER NOT NULL,
    -- by telephone: the account of whoever listened
    entered_by BLOB,
    -- by telephone: the report that tells the same, once a person has said so
    merged_into BLOB,
    PRIMARY KEY (mission, first_number)
);
INSERT INTO reports_anew (mission, first_number, id, version, head, revisions, accreditation, device, category, severity, own_severity, text, folded, station, constituency, lat, lon, accuracy, observed_at, filed_at, received_at, updated_at, status, withdrawn, erased, flags)
SELECT mission, first_number, id, version, head, revisions, accreditation, device, category, severity, own_severity, text, folded, station, constituency, lat, lon, accuracy, observed_at, filed_at, received_at, updated_at, status, withdrawn, erased, flags
FROM reports;
DROP TABLE reports;
ALTER TABLE reports_anew RENAME TO reports;
CREATE INDEX reports_status ON reports (mission, status, first_number);
CREATE INDEX reports_station ON reports (mission, station, first_number);
-- Few reports are by telephone: filing from a phone pays nothing for these.
CREATE INDEX reports_by_telephone ON reports (mission, first_number) WHERE entered_by IS NOT NULL;
CREATE INDEX reports_merged ON reports (mission, merged_into) WHERE merged_into IS NOT NULL;
