//! What may be typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::ids::{DeviceId, EntryHash, FileHash, MissionId};
use uuid::Uuid;

use crate::{
    auth::Role,
    domain::{
        export::Format,
        import::{Decimal, Register},
        reports::Filter,
        room,
    },
    error::{Error, Result},
};

/// Scrutineer's server: election observers' reports, exactly once, signed.
#[derive(Debug, Parser)]
#[command(name = "scrutineer", version, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The data folder: keys, configuration and, unless told otherwise, the database
    #[arg(
        long,
        global = true,
        env = "SCRUTINEER_DATA",
        default_value = "data",
        value_name = "DIR"
    )]
    pub(super) data: PathBuf,
    /// Where the database is: sqlite://PATH or postgres://…; over the configuration's
    #[arg(long, global = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Print one JSON value on standard output, and errors as JSON on standard error
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a data folder: keys, configuration, database
    Init,
    /// Answer phones and people
    Serve {
        /// Address to listen on; port 0 takes any
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Missions: one organisation's observation of one election
    #[command(subcommand)]
    Mission(Mission),
    /// Read stations, accreditations or categories from a CSV file
    Import(Box<Import>),
    /// Codes with which observers bind their phones
    #[command(subcommand)]
    Enrolment(Enrolment),
    /// People who log in
    #[command(subcommand)]
    User(User),
    /// Write reports to a file
    Export(Box<Export>),
    /// Reports: list, read, decide
    #[command(subcommand)]
    Report(Report),
    /// Tell observers something
    #[command(subcommand)]
    Message(Message),
    /// Entries that wait: quarantined, or without the entry before them
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Phones
    #[command(subcommand)]
    Device(Device),
    /// Rights to file
    #[command(subcommand)]
    Accreditation(Accreditation),
    /// Erase a report's words: one person asks, another approves
    #[command(subcommand)]
    Erasure(Erasure),
    /// The server's keys
    #[command(subcommand)]
    Keys(Keys),
    /// The configuration in force
    #[command(subcommand)]
    Config(Config),
    /// Make every table again from the ledger; no server may run meanwhile
    Rebuild,
    /// Import a bundle that a courier brought: reports and files of one phone, sealed
    ImportBundle(ImportBundle),
    /// Bundles that were handed in and wait for the mission's key
    #[command(subcommand)]
    Bundles(Bundles),
    /// Write database and evidence to a new folder, while servers run
    Backup(Backup),
    /// Fill an empty data folder, database and store of evidence from a backup
    Restore(Restore),
    /// What came back after a restore, and which ledger numbers are known to be missing
    Recovery,
}

#[derive(Debug, Args)]
pub(super) struct ImportBundle {
    /// The bundle
    pub(super) file: PathBuf,
    /// A file with the mission's key (ID.age); without it, those left on the server are tried
    #[arg(long, value_name = "FILE")]
    pub(super) identity: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Bundles {
    /// List those that wait
    List,
    /// Import one that waits
    Import {
        /// Its name, as listed
        #[arg(value_name = "BUNDLE")]
        sha256: FileHash,
        /// A file with the mission's key (ID.age)
        #[arg(long, value_name = "FILE")]
        identity: Vec<PathBuf>,
    },
    /// Destroy one that waits
    Discard {
        /// Its name, as listed
        #[arg(value_name = "BUNDLE")]
        sha256: FileHash,
        /// It is meant
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder to make; copies of evidence lie beside it, once for all backups there
    #[arg(short, long, value_name = "FOLDER")]
    pub(super) output: PathBuf,
    /// Seal it to this age recipient (age1…), and put the keys in; may be given again
    #[arg(long, value_name = "AGE")]
    pub(super) recipient: Vec<String>,
    /// Leave evidence out: phones keep their copies of what no other backup holds
    #[arg(long)]
    pub(super) without_evidence: bool,
    /// Then remove copies of evidence that no backup in the same folder names
    #[arg(long)]
    pub(super) prune: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup
    pub(super) folder: PathBuf,
    /// A file with an age identity, for a backup that is sealed; may be given again
    #[arg(long, value_name = "FILE")]
    pub(super) identity: Vec<PathBuf>,
    /// A copy of the folder `keys`, for a backup that holds none
    #[arg(long, value_name = "FOLDER")]
    pub(super) keys: Option<PathBuf>,
    /// Where the copies of evidence are, if not in `scrutineer-evidence` beside the backup
    #[arg(long, value_name = "FOLDER")]
    pub(super) evidence_store: Option<PathBuf>,
    /// Leave evidence for later: reports first
    #[arg(long, conflicts_with = "evidence_only")]
    pub(super) without_evidence: bool,
    /// Only bring evidence into a data folder that is there, while servers run
    #[arg(long)]
    pub(super) evidence_only: bool,
    /// Only check the backup; nothing is written
    #[arg(long, conflicts_with = "evidence_only")]
    pub(super) check: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Mission {
    /// Make a mission with an empty ledger and a sealing key
    Create {
        /// Its name, as observers read it
        #[arg(long)]
        name: String,
        /// The election
        #[arg(long)]
        election: String,
        /// Time zone of the stations, such as Asia/Baku
        #[arg(long)]
        timezone: String,
        /// Levels of the location tree, from the largest to the station
        #[arg(long, value_delimiter = ',', default_value = "constituency,station")]
        levels: Vec<String>,
    },
    /// List the missions
    List,
    /// Set what the room calls silent and untouched; without a flag, say it
    Set {
        #[command(flatten)]
        mission: InMission,
        /// Without an exchange for so long an observer counts as silent: 90s, 45m, 3h
        #[arg(long, value_name = "TIME", value_parser = span)]
        silent_after: Option<i64>,
        /// A critical report that nobody touched for so long raises an alarm
        #[arg(long, value_name = "TIME", value_parser = span)]
        untouched_after: Option<i64>,
    },
}

/// Seconds, from a number and its unit.
fn span(text: &str) -> std::result::Result<i64, String> {
    let hint = || "write a number and s, m or h, from 1s to 168h: 90s, 45m, 3h".to_owned();
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(*name)?, unit)))
        .ok_or_else(hint)?;
    let number: u32 = number.parse().map_err(|_| hint())?;
    let seconds = i64::from(number).saturating_mul(*unit);
    if room::LIMITS.contains(&seconds) {
        Ok(seconds)
    } else {
        Err(hint())
    }
}

/// Which mission. May be left out while there is only one.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct InMission {
    /// The mission; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    pub(super) mission: Option<MissionId>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RegisterName {
    Stations,
    Accreditations,
    Categories,
}

impl From<RegisterName> for Register {
    fn from(name: RegisterName) -> Self {
        match name {
            RegisterName::Stations => Self::Stations,
            RegisterName::Accreditations => Self::Accreditations,
            RegisterName::Categories => Self::Categories,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DecimalName {
    Point,
    Comma,
}

impl From<DecimalName> for Decimal {
    fn from(name: DecimalName) -> Self {
        match name {
            DecimalName::Point => Self::Point,
            DecimalName::Comma => Self::Comma,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// What the file holds
    #[arg(value_enum)]
    pub(super) register: RegisterName,
    /// The CSV file
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) mission: InMission,
    /// The column that holds a field, if it is not called so: --map code=KOD
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair)]
    pub(super) map: Vec<(String, String)>,
    /// How decimal numbers are written
    #[arg(long, value_enum, default_value = "point")]
    pub(super) decimal: DecimalName,
    /// What stands between fields: `,` `;` or `tab`; found by itself when left out
    #[arg(long, value_parser = delimiter)]
    pub(super) delimiter: Option<u8>,
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, column)) if !field.trim().is_empty() && !column.trim().is_empty() => {
            Ok((field.trim().to_lowercase(), column.trim().to_owned()))
        }
        _ => Err("write FIELD=COLUMN".into()),
    }
}

fn delimiter(text: &str) -> std::result::Result<u8, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        "," | "comma" => Ok(b','),
        ";" | "semicolon" => Ok(b';'),
        "|" => Ok(b'|'),
        _ => Err("one of `,` `;` `|` `tab`".into()),
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Enrolment {
    /// Make a code for one phone of an accreditation
    Issue {
        #[command(flatten)]
        mission: InMission,
        /// The accreditation's number
        #[arg(long, value_name = "NO")]
        accreditation: String,
        /// Hours until the code expires; the configuration says it otherwise
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=2160))]
        hours: Option<i64>,
        /// How phones reach the server, if the configuration does not say it
        #[arg(long, value_name = "URL")]
        public_url: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add an account, or a role to an account
    Add {
        /// The mission; operators have none
        #[arg(long, value_name = "ID")]
        mission: Option<MissionId>,
        /// coordinator, lead, analyst, auditor or operator
        #[arg(long)]
        role: Role,
        /// The address to log in with
        #[arg(long)]
        email: String,
        /// Read the password from standard input, its first line
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Set another password
    Password {
        /// Whose
        #[arg(long)]
        email: String,
        /// Read the password from standard input, its first line
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Take the second factor of somebody away who has lost it; at the next sign-in they set
    /// up another
    ResetSecondFactor {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// Disable an account; its tokens die at once
    Disable {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// Enable an account again
    Enable {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// List the accounts
    List,
}

/// Which reports.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which reports")]
pub(super) struct Which {
    /// received, in_review, needs_info, verified, not_verified, dismissed, reopened
    #[arg(long)]
    status: Vec<String>,
    /// low, medium, high, critical, none
    #[arg(long)]
    severity: Vec<String>,
    /// Category code
    #[arg(long)]
    category: Vec<String>,
    /// Station code
    #[arg(long)]
    station: Vec<String>,
    /// Constituency code
    #[arg(long)]
    constituency: Vec<String>,
    /// Pseudonym of the observer
    #[arg(long)]
    observer: Vec<String>,
    /// Looked after by this account, by id; or `none`
    #[arg(long)]
    assignee: Vec<String>,
    /// In this case, by id
    #[arg(long)]
    case: Vec<String>,
    /// Received at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    received_from: Option<String>,
    /// Received before this time
    #[arg(long, value_name = "TIME")]
    received_to: Option<String>,
    /// Observed, as claimed, at this time or later
    #[arg(long, value_name = "TIME")]
    observed_from: Option<String>,
    /// Observed, as claimed, before this time
    #[arg(long, value_name = "TIME")]
    observed_to: Option<String>,
    /// The text contains this
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// Any of these flags, such as far_from_station
    #[arg(long)]
    flag: Vec<String>,
    /// The place lies in this box
    #[arg(
        long,
        value_name = "MINLON,MINLAT,MAXLON,MAXLAT",
        allow_hyphen_values = true
    )]
    bbox: Option<String>,
    /// Withdrawn ones only, or the others only
    #[arg(long)]
    withdrawn: Option<bool>,
    /// Only those that a file was announced for, or the others only
    #[arg(long)]
    evidence: Option<bool>,
    /// Only those by telephone that were merged into another, or the others only
    #[arg(long, value_name = "true|false|any")]
    merged: Option<String>,
}

impl Which {
    /// As the list and the exports understand it.
    pub(super) fn filter(&self) -> Result<Filter> {
        let mut filter = Filter::default();
        let mut set = |name: &str, value: &str| match filter.set(name, value) {
            Ok(_) => Ok(()),
            Err(Error::Refused { detail, .. }) => {
                Err(Error::refused(protocol::codes::Code::Usage, detail))
            }
            Err(error) => Err(error),
        };
        for (name, values) in [
            ("status", &self.status),
            ("severity", &self.severity),
            ("category", &self.category),
            ("station", &self.station),
            ("constituency", &self.constituency),
            ("observer", &self.observer),
            ("assignee", &self.assignee),
            ("case", &self.case),
            ("flag", &self.flag),
        ] {
            values.iter().try_for_each(|value| set(name, value))?;
        }
        let withdrawn = self.withdrawn.map(|withdrawn| withdrawn.to_string());
        let evidence = self.evidence.map(|evidence| evidence.to_string());
        for (name, value) in [
            ("received_from", &self.received_from),
            ("received_to", &self.received_to),
            ("observed_from", &self.observed_from),
            ("observed_to", &self.observed_to),
            ("text", &self.text),
            ("bbox", &self.bbox),
            ("withdrawn", &withdrawn),
            ("evidence", &evidence),
            ("merged", &self.merged),
        ] {
            value.iter().try_for_each(|value| set(name, value))?;
        }
        Ok(filter)
    }
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    pub(super) mission: InMission,
    /// csv, geojson or jsonl
    #[arg(long)]
    pub(super) format: Format,
    /// The file to write; it appears whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Add observers' names and accreditation numbers
    #[arg(long)]
    pub(super) names: bool,
    /// Language of the categories' labels
    #[arg(long, default_value = "en", value_name = "TAG")]
    pub(super) language: String,
    #[command(flatten)]
    pub(super) which: Which,
}

/// On whose behalf. The ledger keeps it.
#[derive(Clone, Debug, Args)]
pub(super) struct Actor {
    /// Who decides: the address of an account of the mission
    #[arg(long = "as", value_name = "EMAIL")]
    pub(super) email: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// List reports, the newest first
    List {
        #[command(flatten)]
        mission: InMission,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number: the `next` of the last page
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        #[command(flatten)]
        which: Box<Which>,
    },
    /// Show one report with its history
    Show {
        /// The report's id
        report: Uuid,
        #[command(flatten)]
        mission: InMission,
    },
    /// Move a report to another status
    Decide {
        /// The report's id
        report: Uuid,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// in_review, needs_info, verified, not_verified or dismissed
        #[arg(long, value_name = "STATUS")]
        to: String,
        /// The version that was read; another one now is refused. The present one when left out
        #[arg(long)]
        version: Option<i64>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// What the observer is asked
        #[arg(long)]
        question: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Message {
    /// Send a message; without any of the filters to everybody
    ///
    /// It reaches the accreditations that match as they are registered now: by place, by
    /// institution, by both if both are given; named accreditations are added to those.
    Send {
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// The words
        #[arg(long)]
        text: String,
        /// A line above them
        #[arg(long)]
        subject: Option<String>,
        /// Who is assigned to a station of this constituency; may be given again
        #[arg(long, value_name = "CODE")]
        constituency: Vec<String>,
        /// Who is sent by this institution; may be given again
        #[arg(long, value_name = "NAME")]
        institution: Vec<String>,
        /// Who is assigned to this station; may be given again
        #[arg(long, value_name = "CODE")]
        station: Vec<String>,
        /// This accreditation, by its number; may be given again
        #[arg(long, value_name = "NUMBER")]
        accreditation: Vec<String>,
        /// To be seen at once
        #[arg(long)]
        urgent: bool,
    },
    /// List messages, the newest first
    List {
        #[command(flatten)]
        mission: InMission,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// List waiting entries, the newest first
    List {
        #[command(flatten)]
        mission: InMission,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// Let a quarantined entry in
    Admit {
        /// The entry's hash
        entry: EntryHash,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// List phones, the last enrolled first
    List {
        #[command(flatten)]
        mission: InMission,
        /// Only those of this accreditation
        #[arg(long, value_name = "NO")]
        accreditation: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those enrolled before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// Revoke a phone: what came before stands, what comes later is quarantined
    Revoke {
        /// The device's id
        device: DeviceId,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Accreditation {
    /// Revoke an accreditation and so all its phones
    Revoke {
        /// The accreditation's number
        number: String,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Erasure {
    /// Ask for it
    Request {
        /// The report's id
        report: Uuid,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Approve what another person asked for; the words are gone then
    Approve {
        /// The id that `erasure request` printed
        erasure: Uuid,
        #[command(flatten)]
        mission: InMission,
        #[command(flatten)]
        actor: Actor,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Add a key for access tokens; it signs after ten minutes
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Show every setting, secrets masked
    Show,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_the_manual_parse() {
        let id = "6f1c1c1e-8a0e-4d3e-9b7e-0a1b2c3d4e5f";
        let hash = protocol::encoding::b64([7; 32]);
        for line in [
            "scrutineer init --data D",
            "scrutineer serve --data D --listen 127.0.0.1:0 --database-url postgres://x/y",
            "scrutineer mission create --data D --name N --election E --timezone Asia/Baku --json",
            "scrutineer mission create --name N --election E --timezone Asia/Baku --levels a,b,c",
            "scrutineer mission list",
            "scrutineer import stations F --data D --mission ID --map code=kod --map name=ad --json",
            "scrutineer import categories F --mission ID --decimal comma --delimiter tab",
            "scrutineer enrolment issue --data D --mission ID --accreditation N-1 --json",
            "scrutineer user add --data D --mission ID --role coordinator --email E --password-stdin",
            "scrutineer user add --role operator --email E --password-stdin",
            "scrutineer user disable --email E",
            "scrutineer export --data D --mission ID --format csv -o FILE",
            "scrutineer export --format geojson --output FILE --bbox -10,-20,30,40 --names",
            "scrutineer export --format jsonl -o FILE --status verified --status received",
            "scrutineer rebuild --data D",
            "scrutineer report list --mission ID --status received,in_review --withdrawn false --json",
            "scrutineer report show ID --mission ID",
            "scrutineer report decide ID --as E --to verified --version 3 --reason T",
            "scrutineer quarantine list",
            "scrutineer quarantine admit HASH --as E --reason T",
            "scrutineer device list --accreditation N",
            "scrutineer device revoke ID --as E --reason T",
            "scrutineer accreditation revoke N-1 --as E --reason T",
            "scrutineer erasure request ID --as E --reason T",
            "scrutineer erasure approve ID --as E",
            "scrutineer keys rotate",
            "scrutineer backup -o B --recipient age1x --data D",
            "scrutineer restore B --identity I --keys K --data D",
            "scrutineer restore B --check",
            "scrutineer recovery --json",
            "scrutineer config show --json",
        ] {
            let line = line.replace("ID", id).replace("HASH", &hash);
            if let Err(error) = parse(&line) {
                panic!("{line}\n{error}");
            }
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "scrutineer",
            "scrutineer fly",
            "scrutineer mission create --name N",
            "scrutineer import stations",
            "scrutineer import ballots F",
            "scrutineer import stations F --map code",
            "scrutineer import stations F --map =kod",
            "scrutineer import stations F --delimiter x",
            "scrutineer mission create --name N --election E --timezone T --mission no-uuid",
            "scrutineer user add --role king --email E --password-stdin",
            "scrutineer user add --role lead --email E",
            "scrutineer export --format xlsx -o F",
            "scrutineer report show no-uuid",
            "scrutineer report list --limit 0",
            "scrutineer serve --listen nowhere",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn filters_are_those_of_the_list() {
        let line = "scrutineer report list --status received,in_review --severity none --flag fork \
                    --bbox -10,-20,30,40 --withdrawn true --received-from 2024-09-01T00:00:00Z \
                    --text -x";
        let Command::Report(Report::List { which, .. }) = parse(line).unwrap().command else {
            panic!("another command")
        };
        let filter = which.filter().unwrap();
        assert_eq!(filter.status, ["received", "in_review"]);
        assert_eq!(filter.severity, [None]);
        assert_eq!(filter.withdrawn, Some(true));
        assert_eq!(filter.text.as_deref(), Some("-x"));
        assert!(filter.bbox.is_some() && filter.flags != 0 && filter.received_from.is_some());
        let odd = Which {
            status: vec!["open".into()],
            ..Which::default()
        };
        assert_eq!(
            odd.filter().unwrap_err().code(),
            protocol::codes::Code::Usage
        );
    }

    /// The list's filter and the command line know the same parameters.
    #[test]
    fn every_parameter_of_the_filter_is_an_option() {
        let command = Cli::command();
        let export = command.find_subcommand("export").unwrap();
        for (name, _) in crate::domain::reports::PARAMETERS {
            let option = name.replace('_', "-");
            let known = export
                .get_arguments()
                .any(|arg| arg.get_long() == Some(option.as_str()));
            assert!(known, "--{option}");
        }
    }
}
