DROP TABLE evidence_readers;
