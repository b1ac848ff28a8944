DROP INDEX entries_office;
DROP TABLE audit;
