-- register: bundles that couriers handed in. In no backup, on purpose: after a
-- restore the ledger may lack what was imported, and whoever hands the bundle in
-- again must not be told that it is there.
CREATE TABLE bundles (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    size BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- waits: its bytes are kept until somebody who has the key imports it
    state TEXT NOT NULL CHECK (state IN ('waits', 'imported', 'refused')),
    code TEXT,
    settled_at BIGINT
);
