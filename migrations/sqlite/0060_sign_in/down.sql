DROP TABLE sessions;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
