-- register: second factors -----------------------------------------------------
CREATE TABLE second_factors (
    user_id BYTEA NOT NULL PRIMARY KEY REFERENCES users (id),
    -- the secret of RFC 6238, sealed under a key that the data folder holds
    secret BYTEA NOT NULL,
    since BIGINT NOT NULL,
    -- the time step of the last code that was taken: none works twice
    last_step BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    user_id BYTEA NOT NULL REFERENCES users (id),
    -- keyed with a secret that the data folder holds
    code_hash BYTEA NOT NULL CHECK (length(code_hash) = 32),
    used_at BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

-- register: who is signed in. In no backup, on purpose: after a restore everybody
-- signs in again.
CREATE TABLE sessions (
    token_hash BYTEA NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id BYTEA NOT NULL REFERENCES users (id),
    -- 0 is the server itself
    mission INTEGER NOT NULL,
    -- whether a second factor was shown; without it only one can be set up
    proven BOOLEAN NOT NULL,
    began_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_ends ON sessions (ends_at);
