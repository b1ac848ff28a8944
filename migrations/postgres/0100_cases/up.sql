-- projection: which reports coordinators count to one event. A report is in one case or
-- in none. A case that the others left has one row, and counts as none until somebody
-- joins it again.
CREATE TABLE case_members (
    mission INTEGER NOT NULL,
    report BYTEA NOT NULL CHECK (length(report) = 16),
    case_id BYTEA NOT NULL CHECK (length(case_id) = 16),
    -- whether its account agrees with the case's first one or contradicts it
    stance TEXT NOT NULL CHECK (stance = 'agrees' OR stance = 'contradicts'),
    -- the entry that says so
    number BIGINT NOT NULL,
    PRIMARY KEY (report, mission)
);
CREATE INDEX case_members_case ON case_members (mission, case_id);
CREATE INDEX case_members_number ON case_members (mission, number);

-- projection: pairs that coordinators hold for two events. Each pair stands twice, once
-- from either side.
CREATE TABLE kept_apart (
    mission INTEGER NOT NULL,
    report BYTEA NOT NULL CHECK (length(report) = 16),
    other BYTEA NOT NULL CHECK (length(other) = 16),
    number BIGINT NOT NULL,
    PRIMARY KEY (report, other, mission)
);

-- reports like one another are looked for by category, too
CREATE INDEX reports_category ON reports (mission, category, first_number);
