DROP TABLE evidence_senders;
