-- What a mission calls silent, and untouched: seconds. NULL: three hours, ten minutes.
ALTER TABLE missions ADD COLUMN silent_after BIGINT;
ALTER TABLE missions ADD COLUMN untouched_after BIGINT;

-- register: when each phone last exchanged something with a server. Who went silent
-- follows from it, and nothing else does. It may be a few seconds behind.
CREATE TABLE device_contacts (
    mission INTEGER NOT NULL,
    device BYTEA NOT NULL CHECK (length(device) = 16),
    heard_at BIGINT NOT NULL,
    PRIMARY KEY (device, mission)
);

-- Where each observer went last.
CREATE INDEX check_ins_accreditation ON check_ins (mission, accreditation, number);

-- Who has a phone, without their keys: those are wide.
CREATE INDEX devices_people ON devices (mission, accreditation, revoked_number, id);
