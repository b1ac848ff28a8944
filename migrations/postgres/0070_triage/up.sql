-- projection: the coordinators' side of a report beside its status. A report that
-- nobody has assigned, ranked or written a note on has no row.
CREATE TABLE triage (
    mission INTEGER NOT NULL,
    report BYTEA NOT NULL CHECK (length(report) = 16),
    -- an account
    assignee BYTEA,
    priority TEXT CHECK (priority = 'low' OR priority = 'normal' OR priority = 'high' OR priority = 'urgent'),
    notes INTEGER NOT NULL,
    -- the last entry about it, and when
    number BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    PRIMARY KEY (report, mission)
);
CREATE INDEX triage_assignee ON triage (mission, assignee);
