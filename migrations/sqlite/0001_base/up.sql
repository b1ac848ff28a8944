-- Ids are 16 bytes, times are microseconds UTC, enums are text with a CHECK.
-- Three sorts of table: the ledger (entries), registers (what people import or
-- set up), projections (rebuilt from ledger and registers by `scrutineer rebuild`).
-- Indexes that ingest looks random values up in begin with the value, and its
-- statements hide `mission` from the planner (`mission + 0`): statistics may be
-- hours old when a shutdown ends, and without them every index that begins with
-- the mission looks as good as the right one. The checks of tables that ingest
-- fills say OR instead of IN, for which SQLite builds a table at each row: a
-- quarter of the time that filing a report took. Those tables do not refer to
-- `missions` either: every append locks `ledger_heads` first, which does, and
-- PostgreSQL would ask for the mission at each row.

-- register: the server itself -------------------------------------------------
CREATE TABLE server_state (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- register: missions ----------------------------------------------------------
CREATE TABLE missions (
    no INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL,
    election TEXT NOT NULL,
    timezone TEXT NOT NULL,
    levels TEXT NOT NULL,
    sealing_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- the box of the mission's stations, for the flag `outside_country`
    min_lat DOUBLE PRECISION,
    max_lat DOUBLE PRECISION,
    min_lon DOUBLE PRECISION,
    max_lon DOUBLE PRECISION
);

-- the ledger ------------------------------------------------------------------
-- The head is locked first by every transaction that appends: numbers have no
-- holes, and the order holds with many servers.
CREATE TABLE ledger_heads (
    mission INTEGER NOT NULL PRIMARY KEY REFERENCES missions (no),
    number BIGINT NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    -- how many entries wait for their base: spares ingest the search when none does
    held BIGINT NOT NULL
);

CREATE TABLE entries (
    mission INTEGER NOT NULL,
    number BIGINT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    kind TEXT NOT NULL,
    subject BLOB,
    journal BLOB,
    seq BIGINT,
    base BLOB,
    device BLOB,
    actor BLOB,
    received_at BIGINT NOT NULL,
    clock_skew BIGINT,
    quarantine TEXT,
    standing TEXT NOT NULL CHECK (standing = 'applied' OR standing = 'held' OR standing = 'quarantined'),
    sd_jwt BLOB NOT NULL,
    PRIMARY KEY (mission, number)
);
CREATE UNIQUE INDEX entries_hash ON entries (hash, mission);
CREATE INDEX entries_subject ON entries (subject, mission, number);
CREATE INDEX entries_journal ON entries (journal, seq, mission);
CREATE INDEX entries_waiting ON entries (mission, number) WHERE standing <> 'applied';
CREATE INDEX entries_held ON entries (base, mission) WHERE standing = 'held';

-- register: histories that ended ------------------------------------------------
-- One row a mission when the server was restored from a backup, or found that its
-- database had been put back: what is known of the history that ended then.
CREATE TABLE ended_histories (
    mission INTEGER NOT NULL REFERENCES missions (no),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    ended_at BIGINT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('restored', 'rolled_back')),
    -- when the backup was made
    backup_at BIGINT,
    -- the last ledger number that was kept
    kept BIGINT NOT NULL,
    -- the highest that a receipt of the server's own proves
    known BIGINT NOT NULL,
    PRIMARY KEY (mission, epoch)
);

-- Which entry had a number of a history that ended, as phones say.
CREATE TABLE former_numbers (
    mission INTEGER NOT NULL,
    epoch BLOB NOT NULL,
    number BIGINT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (mission, epoch, number)
);

-- registers of a mission ------------------------------------------------------
CREATE TABLE registers (
    mission INTEGER NOT NULL REFERENCES missions (no),
    kind TEXT NOT NULL CHECK (kind IN ('stations', 'accreditations', 'categories')),
    version BIGINT NOT NULL,
    sha256 BLOB NOT NULL,
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (mission, kind, version)
);

CREATE TABLE locations (
    mission INTEGER NOT NULL REFERENCES missions (no),
    level TEXT NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    PRIMARY KEY (mission, level, code)
);

CREATE TABLE stations (
    mission INTEGER NOT NULL REFERENCES missions (no),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    constituency TEXT,
    lat DOUBLE PRECISION,
    lon DOUBLE PRECISION,
    registered_voters BIGINT,
    generated BOOLEAN NOT NULL,
    PRIMARY KEY (mission, code)
);

CREATE TABLE categories (
    mission INTEGER NOT NULL REFERENCES missions (no),
    code TEXT NOT NULL,
    stage TEXT NOT NULL,
    definition TEXT NOT NULL,
    severity TEXT CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    labels TEXT NOT NULL,
    PRIMARY KEY (mission, code)
);

CREATE TABLE accreditations (
    mission INTEGER NOT NULL REFERENCES missions (no),
    id BLOB NOT NULL CHECK (length(id) = 16),
    number TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    institution TEXT NOT NULL,
    country TEXT NOT NULL,
    stations TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    PRIMARY KEY (mission, id)
);
CREATE UNIQUE INDEX accreditations_number ON accreditations (mission, number);

CREATE TABLE enrolment_codes (
    code_hash BLOB NOT NULL PRIMARY KEY,
    mission INTEGER NOT NULL REFERENCES missions (no),
    accreditation BLOB NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT,
    kid TEXT
);

CREATE TABLE erasures (
    id BLOB NOT NULL PRIMARY KEY,
    mission INTEGER NOT NULL REFERENCES missions (no),
    report BLOB NOT NULL,
    reason TEXT NOT NULL,
    requested_by BLOB NOT NULL,
    requested_at BIGINT NOT NULL,
    approved_by BLOB,
    approved_at BIGINT
);
CREATE INDEX erasures_mission ON erasures (mission, requested_at);

-- What phones last said of their journals. Only gaps depend on it.
CREATE TABLE journal_contacts (
    mission INTEGER NOT NULL,
    journal BLOB NOT NULL,
    head BIGINT NOT NULL,
    pending BIGINT NOT NULL,
    contacted_at BIGINT NOT NULL,
    -- whether entries are missing though the phone had none left
    gap BOOLEAN NOT NULL,
    PRIMARY KEY (journal, mission)
);

-- register: people who log in -------------------------------------------------
CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

-- mission 0 is the server itself: only operators have it
CREATE TABLE user_roles (
    user_id BLOB NOT NULL REFERENCES users (id),
    mission INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('coordinator', 'lead', 'analyst', 'auditor', 'operator')),
    PRIMARY KEY (user_id, mission, role)
);

-- register: files of evidence ---------------------------------------------------
-- Complete files, as the object store holds them.
CREATE TABLE evidence_files (
    mission INTEGER NOT NULL REFERENCES missions (no),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    size BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,
    -- since when the file outlives the disk that it lies on
    durable_at BIGINT,
    PRIMARY KEY (mission, sha256)
);

-- Files that an erasure destroys. A row goes once the bytes are gone.
CREATE TABLE evidence_doomed (
    mission INTEGER NOT NULL REFERENCES missions (no),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (mission, sha256)
);

-- projections -----------------------------------------------------------------
CREATE TABLE devices (
    mission INTEGER NOT NULL REFERENCES missions (no),
    id BLOB NOT NULL CHECK (length(id) = 16),
    kid TEXT NOT NULL UNIQUE,
    jwk TEXT NOT NULL,
    accreditation BLOB NOT NULL,
    enrolled_number BIGINT NOT NULL,
    revoked_number BIGINT,
    PRIMARY KEY (id, mission)
);
CREATE INDEX devices_accreditation ON devices (mission, accreditation);

CREATE TABLE revoked_accreditations (
    mission INTEGER NOT NULL REFERENCES missions (no),
    accreditation BLOB NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (mission, accreditation)
);

CREATE TABLE reports (
    mission INTEGER NOT NULL,
    first_number BIGINT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version BIGINT NOT NULL,
    head BLOB NOT NULL,
    revisions INTEGER NOT NULL,
    accreditation BLOB NOT NULL,
    device BLOB NOT NULL,
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
    PRIMARY KEY (mission, first_number)
);
-- A report is found by the ledger entry that filed it (entries_subject): one
-- more index over random ids would cost every filing a page.
CREATE INDEX reports_status ON reports (mission, status, first_number);
CREATE INDEX reports_station ON reports (mission, station, first_number);

CREATE TABLE check_ins (
    mission INTEGER NOT NULL,
    number BIGINT NOT NULL,
    accreditation BLOB NOT NULL,
    device BLOB NOT NULL,
    station TEXT NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('arrived', 'left')),
    at BIGINT,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (mission, number)
);

-- What waits for an observer's phones: decisions on their reports.
CREATE TABLE inbox (
    mission INTEGER NOT NULL,
    accreditation BLOB NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (mission, accreditation, number)
);

-- Files that attach entries announce: the original, and its preview.
CREATE TABLE evidence (
    mission INTEGER NOT NULL,
    number BIGINT NOT NULL,
    preview BOOLEAN NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    size BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    report BLOB NOT NULL,
    accreditation BLOB NOT NULL,
    taken_at BIGINT,
    standing TEXT NOT NULL CHECK (standing = 'applied' OR standing = 'held' OR standing = 'quarantined'),
    PRIMARY KEY (mission, number, preview)
);
CREATE INDEX evidence_sha256 ON evidence (sha256, mission);
CREATE INDEX evidence_report ON evidence (report, mission);
CREATE INDEX evidence_accreditation ON evidence (accreditation, mission);
