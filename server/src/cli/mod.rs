//! The command line: what whoever runs the server types.
//!
//! Every command works on the data folder and its database, whether a server
//! runs on them or not; only `rebuild` wants them alone.

mod args;
mod backup;
mod bundles;
mod export;
#[cfg(test)]
pub(crate) mod manual;
mod messages;
mod people;
mod recovery;
mod reports;
mod setup;

mod out;

use std::process::ExitCode;

use clap::Parser as _;
use protocol::{
    codes::Code,
    ids::{MissionId, UserId},
};

use crate::{
    auth::Role,
    clock::Host,
    config::{Config, Overrides},
    domain::{
        accounts,
        acts::Office,
        missions::{self, Mission},
    },
    error::{Error, Result},
    keys::Keys,
    store::{Conn, Store, missions as mission_store},
};

use args::{Actor, Cli, Command, Common, InMission};
use out::Out;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    let status = match Cli::try_parse() {
        Err(error) => Out { json: wants_json }.usage(&error),
        Ok(cli) => {
            let out = Out {
                json: cli.common.json,
            };
            match run(cli, out) {
                Ok(()) => 0,
                Err(error) => out.error(&error),
            }
        }
    };
    ExitCode::from(status)
}

fn run(cli: Cli, out: Out) -> Result<()> {
    let host = Host::system();
    let common = &cli.common;
    match cli.command {
        Command::Init => setup::init(common, &host, out),
        Command::Serve { listen } => setup::serve(common, listen, host, out),
        Command::Mission(command) => setup::mission(&Desk::open(common, host)?, command, out),
        Command::Import(import) => setup::import(&Desk::open(common, host)?, &import, out),
        Command::Enrolment(command) => people::enrolment(&Desk::open(common, host)?, command, out),
        Command::User(command) => people::user(&Desk::open(common, host)?, command, out),
        Command::Export(export) => export::run(&Desk::open(common, host)?, &export, out),
        Command::Report(command) => reports::report(&Desk::open(common, host)?, command, out),
        Command::Quarantine(command) => {
            reports::quarantine(&Desk::open(common, host)?, command, out)
        }
        Command::Device(command) => people::device(&Desk::open(common, host)?, command, out),
        Command::Accreditation(command) => {
            people::accreditation(&Desk::open(common, host)?, command, out)
        }
        Command::Erasure(command) => reports::erasure(&Desk::open(common, host)?, command, out),
        Command::Message(command) => messages::message(&Desk::open(common, host)?, command, out),
        Command::Keys(args::Keys::Rotate) => setup::rotate(common, &host, out),
        Command::Config(args::Config::Show) => setup::show_config(common, out),
        Command::Rebuild => setup::rebuild(common, host, out),
        Command::Recovery => recovery::show(&Desk::open(common, host)?, out),
        Command::ImportBundle(wish) => bundles::import_file(&Desk::open(common, host)?, &wish, out),
        Command::Bundles(command) => bundles::waiting(&Desk::open(common, host)?, command, out),
        Command::Backup(wish) => backup::backup(&Desk::open(common, host)?, wish, out),
        Command::Restore(wish) if wish.evidence_only => {
            backup::bring(&Desk::open(common, host)?, &wish, out)
        }
        Command::Restore(wish) => backup::restore(common, host, &wish, out),
    }
}

/// The configuration that a command works with.
fn configuration(common: &Common) -> Result<Config> {
    let overrides = Overrides {
        database_url: common.database_url.clone(),
        ..Overrides::default()
    };
    Config::load(&common.data, &overrides)
}

/// What a command works with.
struct Desk {
    config: Config,
    host: Host,
    store: Store,
    keys: Keys,
}

impl Desk {
    fn open(common: &Common, host: Host) -> Result<Self> {
        let config = configuration(common)?;
        setup::check_initialised(&config)?;
        let keys = Keys::load(&config.keys_folder())?;
        let store = Store::open(&config.database()?, 2)?;
        let desk = Self {
            config,
            host,
            store,
            keys,
        };
        // A database that is new to an old data folder begins its history here.
        if desk.store.read(mission_store::epoch)?.is_none() {
            desk.store
                .write(|conn| missions::ensure_epoch(conn, &desk.host))?;
        }
        Ok(desk)
    }

    /// Signs for people.
    fn office(&self) -> Office<'_> {
        Office {
            host: &self.host,
            key: &self.keys.receipt,
        }
    }

    /// The mission named, or the only one.
    fn mission(&self, named: InMission) -> Result<Mission> {
        self.store.read(|conn| match named.mission {
            Some(id) => missions::get(conn, id),
            None => only(mission_store::list(conn)?),
        })
    }

    /// The mission with an id.
    fn mission_by_id(&self, id: MissionId) -> Result<Mission> {
        self.store.read(|conn| missions::get(conn, id))
    }
}

fn only(mut missions: Vec<Mission>) -> Result<Mission> {
    match (missions.pop(), missions.is_empty()) {
        (Some(mission), true) => Ok(mission),
        (None, _) => Err(Error::refused(
            Code::MissionUnknown,
            "there is no mission yet; make one first",
        )),
        (Some(_), false) => Err(Error::refused(
            Code::MissionChoiceNeeded,
            "there are several missions; name one with --mission (`scrutineer mission list`)",
        )),
    }
}

/// The account on whose behalf something is done; it must hold one of the
/// roles in the mission, as over HTTP.
fn actor(conn: &mut Conn, mission: &Mission, actor: &Actor, roles: &[Role]) -> Result<UserId> {
    let account = accounts::get(conn, &actor.email)?;
    let may = account.enabled
        && account.grants.iter().any(|grant| {
            grant.mission == Some(mission.reference.id) && roles.contains(&grant.role)
        });
    if may {
        return Ok(account.id);
    }
    let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
    Err(Error::refused(
        Code::Forbidden,
        format!(
            "{} must be {} of this mission",
            account.email,
            names.join(" or ")
        ),
    ))
}

/// Who decides on reports.
const COORDINATORS: &[Role] = &[Role::Coordinator, Role::Lead];
/// Who revokes and erases.
const LEADS: &[Role] = &[Role::Lead];
