-- registers: reference data for phones -----------------------------------------
-- What changed in each version of a register, as the lines of its snapshots
-- (docs/protocol.md): the snapshot of a version is the last line of each code up to
-- there, and a delta is what lies between two versions. Never changed afterwards.
CREATE TABLE register_lines (
    mission INTEGER NOT NULL REFERENCES missions (no),
    kind TEXT NOT NULL CHECK (kind IN ('stations', 'categories')),
    version BIGINT NOT NULL,
    code TEXT NOT NULL,
    -- NULL: the code has no line any more
    line TEXT,
    PRIMARY KEY (mission, kind, version, code)
);

-- The snapshots' names. Two versions may have one: what was changed, and changed back.
CREATE TABLE register_snapshots (
    mission INTEGER NOT NULL REFERENCES missions (no),
    kind TEXT NOT NULL CHECK (kind IN ('stations', 'categories')),
    version BIGINT NOT NULL,
    sha256 BYTEA NOT NULL CHECK (length(sha256) = 32),
    bytes BIGINT NOT NULL,
    PRIMARY KEY (mission, kind, version)
);

-- register: who a message was sent to ------------------------------------------
-- Fixed when the message is appended, by the accreditations as they were registered
-- then: registers change, and a rebuild must arrive at the same inboxes.
CREATE TABLE message_audiences (
    mission INTEGER NOT NULL REFERENCES missions (no),
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    -- the accreditations' ids, 16 bytes each, in order
    recipients BYTEA NOT NULL,
    PRIMARY KEY (mission, hash)
);

CREATE INDEX entries_messages ON entries (mission, number) WHERE kind = 'message';
