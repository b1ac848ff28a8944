DROP TABLE search_progress;
DROP TABLE report_words;
