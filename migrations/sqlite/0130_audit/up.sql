-- register: what people did that is no entry of a ledger: accounts, sign-ins, imports,
-- exports, enrolment codes, work at the command line. Rows are added and never changed.
-- No secret stands in it.
CREATE TABLE audit (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- whose trail; 0 is the server itself
    mission INTEGER NOT NULL,
    at BIGINT NOT NULL,
    act TEXT NOT NULL,
    -- the account that acted; without one: whoever runs the server, at its command
    -- line, or somebody who did not prove who they are
    actor BLOB,
    -- the account that it was done to
    account BLOB,
    via TEXT NOT NULL CHECK (via IN ('network', 'command_line')),
    -- JSON
    details TEXT NOT NULL
);
CREATE INDEX audit_mission ON audit (mission, at, id);
-- Who signed in last.
CREATE INDEX audit_accounts ON audit (mission, act, account, at);
-- What the office wrote into the ledger, for the same list.
CREATE INDEX entries_office ON entries (mission, number) WHERE device IS NULL;
