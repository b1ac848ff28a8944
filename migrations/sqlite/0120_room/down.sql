DROP INDEX devices_people;
DROP INDEX check_ins_accreditation;
DROP TABLE device_contacts;
ALTER TABLE missions DROP COLUMN untouched_after;
ALTER TABLE missions DROP COLUMN silent_after;
