-- register: which people were given a file of evidence, or a part of it, and when first.
-- Rows are added and never changed, also when the file is destroyed.
CREATE TABLE evidence_readers (
    mission INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16),
    first_at BIGINT NOT NULL,
    PRIMARY KEY (sha256, user_id, mission)
);
