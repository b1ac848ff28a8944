DROP INDEX reports_category;
DROP TABLE kept_apart;
DROP TABLE case_members;
