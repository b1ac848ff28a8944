//! A fresh database of either kind, and what stands in it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::types::ValueRef;

use crate::postgres::{self, Postgres};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The embedded default.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A database of one test.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database of this process's cluster.
    Postgres {
        /// The cluster.
        cluster: &'static Postgres,
        /// Its name.
        name: String,
        /// Its address.
        url: String,
    },
}

/// A column as both kinds of database describe it: its name, and whether it may be null.
pub type Column = (String, bool);

impl Database {
    /// A new one; SQLite's is the file that the data folder has anyway.
    #[must_use]
    pub fn new(kind: Kind, data: &Path) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(data.join("scrutineer.sqlite")),
            Kind::Postgres => {
                let cluster = postgres::cluster();
                let name = cluster.fresh_name();
                let url = cluster
                    .create_database(&name)
                    .unwrap_or_else(|error| panic!("{error}"));
                Self::Postgres { cluster, name, url }
            }
        }
    }

    /// The address, as `--database-url` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    /// Every table but the migrations' own and the index over words, which each
    /// database makes in its way, with its columns in order.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn schema(&self) -> BTreeMap<String, Vec<Column>> {
        let rows = match self {
            Self::Sqlite(_) => self.rows(
                "SELECT m.name, c.name, c.\"notnull\" = 0 FROM sqlite_master m, pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid",
            ),
            Self::Postgres { .. } => self.rows(
                "SELECT table_name, column_name, (is_nullable = 'YES')::int FROM information_schema.columns
                 WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
            ),
        };
        let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        for row in rows {
            let [table, column, nullable] = row.as_slice() else {
                panic!("three columns")
            };
            if table != "__diesel_schema_migrations" && !table.starts_with("report_words") {
                tables
                    .entry(table.clone())
                    .or_default()
                    .push((column.clone(), nullable == "1"));
            }
        }
        tables
    }

    /// All rows of some tables, as texts in one order.
    #[must_use]
    pub fn dump(&self, tables: &[&str]) -> BTreeMap<String, Vec<String>> {
        let schema = self.schema();
        tables
            .iter()
            .map(|table| {
                let columns: Vec<&str> = schema[*table]
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect();
                let mut rows: Vec<String> = self
                    .rows(&format!("SELECT {} FROM {table}", columns.join(", ")))
                    .into_iter()
                    .map(|row| {
                        let named = columns
                            .iter()
                            .zip(row)
                            .map(|(name, value)| format!("{name}={value}"));
                        named.collect::<Vec<_>>().join(" ")
                    })
                    .collect();
                rows.sort();
                ((*table).to_owned(), rows)
            })
            .collect()
    }

    /// One number.
    ///
    /// # Panics
    /// When the query does not answer one.
    #[must_use]
    pub fn count(&self, query: &str) -> i64 {
        self.rows(query)[0][0].parse().expect("a number")
    }

    /// What a query answers: every value as a text, bytes in hexadecimal,
    /// nothing as `∅`.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(path) => {
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
                let connection =
                    rusqlite::Connection::open_with_flags(path, flags).expect("the database opens");
                connection
                    .busy_timeout(crate::wait::LONG)
                    .expect("a time-out");
                let mut statement = connection
                    .prepare(query)
                    .unwrap_or_else(|error| panic!("{query}: {error}"));
                let width = statement.column_count();
                let rows = statement
                    .query_map([], |row| {
                        (0..width)
                            .map(|at| Ok(text_of(row.get_ref(at)?)))
                            .collect::<Result<Vec<_>, _>>()
                    })
                    .expect("the query runs");
                rows.map(|row| row.expect("a row")).collect()
            }
            Self::Postgres { cluster, name, .. } => {
                // CSV cannot be misread, whatever a text holds.
                let text = cluster
                    .psql(
                        name,
                        &format!("COPY ({query}) TO STDOUT WITH (FORMAT csv, NULL '∅')"),
                    )
                    .unwrap_or_else(|error| panic!("{query}: {error}"));
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .from_reader(text.as_bytes());
                let rows = reader
                    .records()
                    .map(|row| row.expect("a row").iter().map(same_spelling).collect());
                rows.collect()
            }
        }
    }

    /// Changes something behind the server's back.
    ///
    /// # Panics
    /// When it fails.
    pub fn execute(&self, statement: &str) {
        match self {
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the database opens");
                connection
                    .busy_timeout(crate::wait::LONG)
                    .expect("a time-out");
                connection
                    .execute_batch(statement)
                    .unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
            Self::Postgres { cluster, name, .. } => {
                cluster
                    .psql(name, statement)
                    .unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        }
    }
}

/// PostgreSQL's CSV spells bytes and truths in its own way.
fn same_spelling(value: &str) -> String {
    match value {
        "t" => "1".into(),
        "f" => "0".into(),
        other => other.strip_prefix("\\x").unwrap_or(other).to_owned(),
    }
}

fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "∅".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
