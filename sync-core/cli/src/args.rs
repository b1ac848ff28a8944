//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::entry::Severity;
use sync_core::client;

/// File and send an election observer's reports, online or not.
///
/// Everything is kept on this device first; `sync` copies to the server what it
/// lacks. Nothing is ever lost by sending twice.
#[derive(Debug, Parser)]
#[command(name = "observer", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Folder that holds the keys and the journal of one device
    /// [default: ~/.local/share/scrutineer-observer]
    #[arg(long, global = true, env = "OBSERVER_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Print one JSON value and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Trust the certificate authorities of this PEM file as well
    #[arg(long, global = true, env = "OBSERVER_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Read the passphrase from this file, its first line, instead of asking for it
    #[arg(
        long,
        global = true,
        env = "OBSERVER_PASSPHRASE_FILE",
        value_name = "FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Use an enrolment link
    Enrol {
        /// The link, as it was given to you; `-` reads it from standard input
        url: String,
    },
    /// File a report; it is safe on this device when this returns
    File {
        /// Code of the mission's category list
        #[arg(long)]
        category: String,
        /// File it although the category is not in the list on this device
        #[arg(long)]
        unlisted_category: bool,
        #[command(flatten)]
        details: Details,
        /// What you saw; `-` reads it from standard input
        #[arg(long)]
        text: String,
    },
    /// Correct or complete a report
    Amend {
        /// The report's id, or enough of its beginning
        report: String,
        /// Code of the mission's category list
        #[arg(long)]
        category: Option<String>,
        /// Amend it although the category is not in the list on this device
        #[arg(long)]
        unlisted_category: bool,
        #[command(flatten)]
        details: Details,
        /// What you saw, all of it; `-` reads it from standard input
        #[arg(long)]
        text: Option<String>,
    },
    /// Take a report back
    Withdraw {
        /// The report's id, or enough of its beginning
        report: String,
        /// Why; `-` reads it from standard input
        #[arg(long)]
        reason: String,
    },
    /// Answer a coordinator's question
    Answer {
        /// The report's id, or enough of its beginning
        report: String,
        /// The answer; `-` reads it from standard input
        #[arg(long)]
        text: String,
    },
    /// Say that you arrived at a station, or left it
    CheckIn {
        /// Station code
        #[arg(long)]
        station: String,
        /// You left it
        #[arg(long)]
        left: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Attach files to a report; they are kept here, sealed, and sent with the next syncs
    ///
    /// The originals are neither changed nor removed.
    Attach {
        /// The report's id, or enough of its beginning
        report: String,
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// When they were taken, RFC 3339; else a picture may say so itself
        #[arg(long, value_name = "TIME")]
        taken_at: Option<String>,
    },
    /// List your reports and where they stand
    List,
    /// Show one report with its history
    Show {
        /// The report's id, or enough of its beginning
        report: String,
    },
    /// Read what the coordinators tell you
    Messages {
        /// Only those not read yet
        #[arg(long)]
        unread: bool,
        /// Leave them marked as unread
        #[arg(long)]
        peek: bool,
    },
    /// List the mission's stations, as far as they are on this device
    Stations {
        /// Only those with these words in code, name or constituency
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// List the mission's categories, as far as they are on this device
    Categories {
        /// Language of the labels, such as az; English where there is none
        #[arg(long, default_value = "en", value_name = "LANGUAGE")]
        lang: String,
    },
    /// Show how this device stands
    Status,
    /// Send what waits, and read what is new
    Sync {
        /// Seconds to wait at most when the server asks to come back later
        #[arg(long, default_value_t = 20, value_name = "SECONDS")]
        patience: u32,
        /// Send reports alone, no files
        #[arg(long)]
        no_files: bool,
    },
    /// Show the settings, or change them
    Settings {
        /// Whether `sync` sends files
        #[arg(long, value_name = "WHEN")]
        files: Option<SendFiles>,
        /// Whether files stay on this device for ever, or until the server has backed them up
        #[arg(long, value_name = "WHEN")]
        keep_evidence: Option<KeepEvidence>,
    },
    /// Lock the keys of this home, so that a copy of its files opens nothing
    #[command(subcommand)]
    Passphrase(Passphrase),
    /// Pack what the server may lack into one file, for a courier
    ///
    /// The file is sealed to the mission: whoever carries it cannot read it. Nothing is
    /// marked as delivered; the next sync tells. Works without keys too.
    Pack {
        /// The file to make
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Everything on this device, delivered or not
        #[arg(long, conflicts_with = "without_keys")]
        all: bool,
        /// Sealed as it lies, without opening anything: when the passphrase is lost
        #[arg(long)]
        without_keys: bool,
    },
    /// Hand in a bundle that some device packed; this one need not be enrolled
    Deliver {
        /// The bundle
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
        /// The server's address, such as https://reports.example.org [default: this home's]
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// Seconds to wait at most, in all, for a link or a server that comes back
        #[arg(long, default_value_t = 120, value_name = "SECONDS")]
        patience: u32,
    },
    /// Move a home whose keys are lost aside, whole, so that a new link can be used
    BeginAnew {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Destroy everything here: first the keys, then all else. Tells first what will be lost
    Wipe {
        /// Do not ask, and ask for no passphrase either
        #[arg(long)]
        yes: bool,
    },
}

/// What the keys are locked with.
#[derive(Debug, Subcommand)]
pub(crate) enum Passphrase {
    /// Lock the keys with a passphrase; it is asked for twice
    Set,
    /// Lock them with another passphrase
    Change {
        /// Read the new passphrase from this file, its first line
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Keep the keys unlocked
    Remove,
    /// Lock them with a key that the desktop's secret service keeps
    SecretService,
}

/// See [`sync_core::client::SendFiles`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SendFiles {
    /// At each sync
    Always,
    /// Reports alone
    Never,
}

impl From<SendFiles> for client::SendFiles {
    fn from(given: SendFiles) -> Self {
        match given {
            SendFiles::Always => Self::Always,
            SendFiles::Never => Self::Never,
        }
    }
}

/// See [`sync_core::client::KeepEvidence`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeepEvidence {
    /// For ever
    Always,
    /// Until the server says that they outlive its disk
    UntilDurable,
}

impl From<KeepEvidence> for client::KeepEvidence {
    fn from(given: KeepEvidence) -> Self {
        match given {
            KeepEvidence::Always => Self::Always,
            KeepEvidence::UntilDurable => Self::UntilDurable,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Details {
    /// low, medium, high or critical
    #[arg(long)]
    pub(crate) severity: Option<Severity>,
    /// Station code
    #[arg(long)]
    pub(crate) station: Option<String>,
    /// When it happened, RFC 3339, such as 2024-09-01T08:15:00+04:00
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Latitude in degrees, −90 to 90
    #[arg(long, requires = "lon", allow_negative_numbers = true)]
    pub(crate) lat: Option<f64>,
    /// Longitude in degrees, −180 to 180
    #[arg(long, requires = "lat", allow_negative_numbers = true)]
    pub(crate) lon: Option<f64>,
    /// How accurate the place is, in metres
    #[arg(
        long,
        requires = "lat",
        value_name = "METRES",
        allow_negative_numbers = true
    )]
    pub(crate) accuracy: Option<f64>,
}

impl PlaceArgs {
    pub(crate) fn place(&self) -> Option<protocol::entry::Place> {
        let (lat, lon) = self.lat.zip(self.lon)?;
        Some(protocol::entry::Place {
            lat,
            lon,
            accuracy: self.accuracy,
        })
    }
}

pub(crate) fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cli(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_commands_of_the_documentation_parse() {
        for line in [
            "observer --home D enrol https://x/enrol#code=A --json",
            "observer --home D file --category C --text T --json",
            "observer --home D file --category C --severity critical --station 12-3 --text - --at 2024-09-01T08:15:00Z \
             --lat -40.4 --lon -49.8 --accuracy 12.5 --json",
            "observer --home D amend R --text T --station S --category C --severity low --at X --lat 1 --lon 2",
            "observer --home D withdraw R --reason T",
            "observer --home D answer R --text T --json",
            "observer --home D check-in --station S --left --lat -1 --lon -2 --json",
            "observer --home D list --json",
            "observer --home D status --json",
            "observer --home D messages --json",
            "observer --home D messages --unread --peek",
            "observer --home D stations --search school --json",
            "observer --home D categories --lang az --json",
            "observer file --category C --unlisted-category --text T",
            "observer --home D show R",
            "observer --home D sync --json",
            "observer --json sync --patience 0",
            "observer --home D sync --no-files",
            "observer --home D attach R a.jpg b.mp4 --taken-at 2024-09-01T08:15:00Z --json",
            "observer --home D settings",
            "observer --home D passphrase set --passphrase-file F --json",
            "observer --home D passphrase change --passphrase-file F --new-passphrase-file G",
            "observer --home D passphrase remove",
            "observer --home D passphrase secret-service",
            "observer --home D pack -o FILE --all",
            "observer --home D pack --output FILE --without-keys",
            "observer deliver FILE --server https://reports.example.org --patience 5 --json",
            "observer --home D begin-anew --yes",
            "observer --home D wipe --yes --json",
            "observer --home D settings --files never --keep-evidence until-durable --json",
        ] {
            assert!(cli(line).is_ok(), "{line}: {:?}", cli(line).err());
        }
    }

    #[test]
    fn wrong_usage_is_told() {
        for line in [
            "observer",
            "observer frobnicate",
            "observer enrol",
            "observer file --text T",
            "observer file --category C",
            "observer file --category C --text T --severity grave",
            "observer file --category C --text T --lat 1",
            "observer file --category C --text T --accuracy 1",
            "observer file --category C --text T --lat x --lon 1",
            "observer check-in",
            "observer withdraw R",
            "observer attach R",
            "observer settings --files sometimes",
            "observer passphrase",
            "observer passphrase set secret",
            "observer pack",
            "observer pack -o FILE --all --without-keys",
            "observer list --nonsense",
        ] {
            assert!(cli(line).is_err(), "{line}");
        }
    }

    #[test]
    fn negative_coordinates_are_numbers() {
        let parsed = cli("observer check-in --station S --lat -33.9 --lon -70.5").expect("parses");
        let Command::CheckIn { place, .. } = parsed.command else {
            panic!("another command")
        };
        let place = place.place().expect("a place");
        assert!((place.lat, place.lon) == (-33.9, -70.5));
    }

    #[test]
    fn the_definition_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
