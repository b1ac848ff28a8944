DROP INDEX entries_messages;
DROP TABLE message_audiences;
DROP TABLE register_snapshots;
DROP TABLE register_lines;
