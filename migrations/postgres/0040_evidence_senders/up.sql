-- register: whose devices have sent a file in full. Only these may read it back: whoever merely
-- announces a hash has not shown that they hold the file.
CREATE TABLE evidence_senders (
    mission INTEGER NOT NULL REFERENCES missions (no),
    sha256 BYTEA NOT NULL CHECK (length(sha256) = 32),
    accreditation BYTEA NOT NULL CHECK (length(accreditation) = 16),
    PRIMARY KEY (mission, sha256, accreditation)
);
