-- projection: the words of reports, indexed by each three letters that follow one another.
-- Built here and not by pg_trgm: that sees letters as the database's locale does, and in a
-- database of locale C neither Cyrillic nor Arabic has any. It is filled behind the ledger,
-- so that filing does not wait for it.
CREATE TABLE report_words (
    mission INTEGER NOT NULL,
    first_number BIGINT NOT NULL,
    -- a hash of each three letters
    grams INTEGER[] NOT NULL,
    PRIMARY KEY (mission, first_number)
);
CREATE INDEX report_words_grams ON report_words USING gin (grams);

-- how far the ledger's entries are in the index
CREATE TABLE search_progress (
    mission INTEGER NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
