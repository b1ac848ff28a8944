-- Who has which report open, so that colleagues see it. Nothing depends on it, and it is
-- gone a minute after a desk goes silent.
CREATE TABLE attention (
    mission INTEGER NOT NULL REFERENCES missions (no),
    -- an account
    user_id BYTEA NOT NULL CHECK (length(user_id) = 16),
    report BYTEA NOT NULL CHECK (length(report) = 16),
    -- whether a decision is being written
    deciding BOOLEAN NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (mission, user_id)
);
