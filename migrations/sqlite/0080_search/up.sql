-- projection: the words of reports, indexed by each three letters that follow one another.
-- A row's id is the mission times 2^40 and the report's first number. It is filled behind
-- the ledger, so that filing does not wait for it.
CREATE VIRTUAL TABLE report_words USING fts5(folded, tokenize = 'trigram case_sensitive 1');
-- What is erased leaves the index at once, not when its pages are next merged.
INSERT INTO report_words (report_words, rank) VALUES ('secure-delete', 1);

-- how far the ledger's entries are in the index
CREATE TABLE search_progress (
    mission INTEGER NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
