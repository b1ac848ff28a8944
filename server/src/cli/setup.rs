//! Data folder, server, missions, registers, keys.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use protocol::{codes::Code, ids::MissionId};
use serde_json::json;

use super::{
    Desk,
    args::{Common, Import, InMission, Mission},
    configuration,
    out::{Out, table},
};
use crate::{
    clock::Host,
    config::{Config, Overrides},
    domain::{
        audit::{Act, By, Deed},
        import::{self, Options, Report, Step},
        missions::{self, Wish},
        rebuild as rebuilding, room,
    },
    error::{Error, Result},
    keys::{self, Keys},
    serve as server,
    store::{DatabaseUrl, Store, missions as mission_store, presence::Presence, users::SERVER},
};

/// What a data folder may hold before it is one, apart from evidence: an operator's
/// configuration, and what an `init` that was cut short left.
const HARMLESS: [&str; 5] = [
    "scrutineer.toml",
    "scrutineer.sqlite",
    "database-url",
    ".keys.partial",
    "lost+found",
];

/// The configuration file of a new data folder.
const TOML: &str = include_str!("scrutineer.toml");

pub(super) fn init(common: &Common, host: &Host, out: Out) -> Result<()> {
    let data = &common.data;
    if data.join("keys").exists() {
        let detail = format!(
            "{} is a data folder already; nothing was changed",
            data.display()
        );
        return Err(Error::refused(Code::AlreadyExists, detail));
    }
    make_folder(common)?;
    write_settings(common)?;
    let config = configuration(common)?;
    let store = Store::open(&config.database()?, 2)?;
    let epoch = store.write(|conn| missions::ensure_epoch(conn, host))?;
    // The keys come last and at once: a folder that has them is complete.
    let partial = partial_keys(data);
    fs::remove_dir_all(&partial).ok();
    let kid = Keys::create(&partial, host)?.receipt_kid;
    let keys = config.keys_folder();
    place_keys(&config)?;
    out.answer(
        &json!({"data": data, "receipt_key": kid, "epoch": epoch}),
        &format!(
            "{} is ready.\nIts keys lie in {}; keep a copy in a safe place.\n\
             Next: scrutineer mission create --data {} --name … --election … --timezone …",
            data.display(),
            keys.display(),
            data.display()
        ),
    )
}

/// Where keys are made ready.
pub(super) fn partial_keys(data: &Path) -> PathBuf {
    data.join(".keys.partial")
}

/// Puts the keys made ready in their place.
pub(super) fn place_keys(config: &Config) -> Result<()> {
    let keys = config.keys_folder();
    fs::rename(partial_keys(&config.data), &keys).map_err(Error::io(&keys))?;
    fs::File::open(&config.data)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io(&config.data))
}

/// Writes the configuration file of a new data folder, unless there is one.
pub(super) fn write_settings(common: &Common) -> Result<()> {
    let data = &common.data;
    let file = data.join("scrutineer.toml");
    if !file.exists() {
        let mut text = TOML.to_owned();
        if let Some(url) = &common.database_url
            && !url.is_empty()
        {
            url.parse::<DatabaseUrl>()
                .map_err(|detail| Error::refused(Code::ConfigurationInvalid, detail))?;
            // The address may hold a password: a file of its own, for its owner alone.
            let path = data.join("database-url");
            fs::remove_file(&path).ok();
            keys::write_private(&path, url.as_bytes())?;
            text = text.replace(
                "# database_url_file = \"…\"",
                "database_url_file = \"database-url\"",
            );
        }
        keys::write_private(&file, text.as_bytes())?;
    }
    Ok(())
}

pub(super) fn make_folder(common: &Common) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let data = &common.data;
    if !data.exists() {
        return fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(Error::io(data));
    }
    let evidence = configuration(common)?.evidence_folder;
    let evidence = evidence.components().next();
    for entry in fs::read_dir(data).map_err(Error::io(data))? {
        let name = entry.map_err(Error::io(data))?.file_name();
        let name = name.to_string_lossy();
        // Evidence may have outlived the rest, or a restore was cut short.
        let harmless = HARMLESS.contains(&name.as_ref())
            || evidence.is_some_and(|top| top.as_os_str() == name.as_ref())
            || name.starts_with("scrutineer.sqlite")
            || name.ends_with(".lock");
        if !harmless {
            let detail = format!(
                "{} is not empty (`{name}`); name a new or an empty folder",
                data.display()
            );
            return Err(Error::refused(Code::DataFolderInvalid, detail));
        }
    }
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).map_err(Error::io(data))
}

/// Refuses a folder that `init` did not make, before anything is written there.
pub(super) fn check_initialised(config: &Config) -> Result<()> {
    if config.keys_folder().join("receipt.json").exists() {
        return Ok(());
    }
    Err(Error::refused(
        Code::DataFolderInvalid,
        format!(
            "{} is not a data folder; make one with `scrutineer init --data DIR`",
            config.data.display()
        ),
    ))
}

pub(super) fn serve(
    common: &Common,
    listen: Option<SocketAddr>,
    host: Host,
    out: Out,
) -> Result<()> {
    let overrides = Overrides {
        listen,
        database_url: common.database_url.clone(),
    };
    let config = Config::load(&common.data, &overrides)?;
    check_initialised(&config)?;
    server::run(config, host, move |address| {
        out.answer(
            &json!({"listening": address}),
            &format!("listening on {address}"),
        )
    })
}

pub(super) fn mission(desk: &Desk, command: Mission, out: Out) -> Result<()> {
    match command {
        Mission::Create {
            name,
            election,
            timezone,
            levels,
        } => {
            let levels = levels.iter().map(|level| level.trim().to_owned()).collect();
            let wish = Wish {
                name,
                election,
                timezone,
                levels,
            }
            .check()?;
            create_mission(desk, &wish, out)
        }
        Mission::List => list_missions(desk, out),
        Mission::Set {
            mission,
            silent_after,
            untouched_after,
        } => set_limits(desk, mission, silent_after, untouched_after, out),
    }
}

fn set_limits(
    desk: &Desk,
    mission: InMission,
    silent_after: Option<i64>,
    untouched_after: Option<i64>,
    out: Out,
) -> Result<()> {
    let mission = desk.mission(mission)?.reference;
    let limits = if silent_after.is_none() && untouched_after.is_none() {
        desk.store.read(|conn| room::limits(conn, mission))?
    } else {
        desk.store
            .write(|conn| room::set_limits(conn, mission, silent_after, untouched_after))?
    };
    out.answer(
        &json!({"mission": mission.id, "limits": limits}),
        &format!(
            "An observer counts as silent after {} s without an exchange.\n\
             A critical report that nobody has touched raises an alarm after {} s.",
            limits.silent_after, limits.untouched_after
        ),
    )
}

fn create_mission(desk: &Desk, wish: &Wish, out: Out) -> Result<()> {
    let id = MissionId(desk.host.uuid());
    let (recipient, file) = desk.keys.create_sealing_key(id, &desk.host)?;
    let made = desk.store.write(|conn| {
        let mission = missions::create(conn, desk.host.now(), id, wish, &recipient)?;
        let details = json!({ "name": wish.name });
        let deed = Deed::new(&desk.host, By::CommandLine, Act::MissionCreated, details);
        deed.note(conn, SERVER)?;
        deed.note(conn, mission.no)
    });
    if made.is_err() {
        // A key of no mission; if it stays, it harms nobody.
        fs::remove_file(&file).ok();
    }
    made?;
    out.answer(
        &json!({"mission": id, "sealing_key": recipient, "secret_file": file}),
        &format!(
            "mission {id}\nThe secret half of its sealing key lies in {}.\n\
             Move it off this server, to a place where two people can find it: it opens what\n\
             phones could not send.",
            file.display()
        ),
    )
}

fn list_missions(desk: &Desk, out: Out) -> Result<()> {
    let missions = desk.store.read(mission_store::list)?;
    let value: Vec<_> = missions
        .iter()
        .map(|mission| {
            json!({
                "mission": mission.reference.id,
                "name": mission.name,
                "election": mission.election,
                "timezone": mission.timezone,
                "levels": mission.levels,
                "sealing_key": mission.sealing_key,
                "created_at": mission.created_at.rfc3339(),
            })
        })
        .collect();
    let rows: Vec<_> = missions
        .iter()
        .map(|mission| {
            let id = mission.reference.id.to_string();
            vec![
                id,
                mission.name.clone(),
                mission.election.clone(),
                mission.timezone.clone(),
            ]
        })
        .collect();
    out.answer(
        &json!(value),
        &table(&["mission", "name", "election", "time zone"], &rows),
    )
}

pub(super) fn import(desk: &Desk, import: &Import, out: Out) -> Result<()> {
    let mission = desk.mission(import.mission)?;
    let unreadable = |error: std::io::Error| {
        let detail = format!("{} cannot be read: {error}", import.file.display());
        Error::refused(Code::InvalidValue, detail)
    };
    if fs::metadata(&import.file).map_err(unreadable)?.len() > import::FILE_BYTES {
        return Err(import::too_large());
    }
    let bytes = fs::read(&import.file).map_err(unreadable)?;
    let mut map = std::collections::BTreeMap::new();
    for (field, column) in &import.map {
        if map.insert(field.clone(), column.clone()).is_some() {
            return Err(Error::refused(
                Code::Usage,
                format!("--map {field}=… stands twice"),
            ));
        }
    }
    let options = Options {
        map,
        decimal: import.decimal.into(),
        delimiter: import.delimiter,
    };
    let bar = Bar::new(out);
    let work = import::Desk {
        store: &desk.store,
        keys: &desk.keys,
        host: &desk.host,
        by: By::CommandLine,
    };
    let report = import::run(
        work,
        &mission,
        import.register.into(),
        &bytes,
        &options,
        &mut |step| bar.show(step),
    )?;
    bar.clear();
    let value = serde_json::to_value(&report).map_err(|e| Error::Internal(e.to_string()))?;
    out.answer(&value, &import_words(&report, &import.file))?;
    if report.errors.is_empty() {
        return Ok(());
    }
    let detail = match report.errors.len() {
        1 => "the file has an error; nothing was imported".to_owned(),
        errors => format!("the file has {errors} errors; nothing was imported"),
    };
    Err(Error::refused(Code::ImportRejected, detail))
}

fn import_words(report: &Report, file: &Path) -> String {
    let mut text = String::new();
    for error in &report.errors {
        let column = error
            .column
            .as_ref()
            .map(|name| format!(" {name}:"))
            .unwrap_or_default();
        text.push_str(&format!(
            "{}:{}:{column} {} ({})\n",
            file.display(),
            error.line,
            error.message,
            error.code
        ));
    }
    if report.errors.is_empty() {
        text.push_str(&format!(
            "{} rows read: {} new, {} updated, {} unchanged\n",
            report.read, report.created, report.updated, report.unchanged
        ));
    }
    if report.missing_count > 0 {
        let more = if usize::try_from(report.missing_count) == Ok(report.missing.len()) {
            ""
        } else {
            ", …"
        };
        text.push_str(&format!(
            "{} known and not in this file, kept: {}{more}\n",
            report.missing_count,
            report.missing.join(", ")
        ));
    }
    text
}

/// A progress bar, where a person watches.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(out: Out) -> Self {
        Self(out.is_watched().then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{msg:9} {wide_bar} {percent:>3} %") {
                bar.set_style(style);
            }
            bar
        }))
    }

    fn show(&self, step: Step) {
        let Some(bar) = &self.0 else { return };
        let (message, done, total) = match step {
            Step::Reading(done, total) => ("reading", done, total),
            Step::Writing(done, total) => ("writing", done, total),
        };
        bar.set_message(message);
        bar.set_length(total);
        bar.set_position(done);
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn rotate(common: &Common, host: &Host, out: Out) -> Result<()> {
    let config = configuration(common)?;
    check_initialised(&config)?;
    let file: PathBuf = Keys::load(&config.keys_folder())?.rotate_tokens(host)?;
    out.answer(
        &json!({"key": file}),
        &format!(
            "a new key for tokens lies in {}\nServers read it within a minute and sign with it \
             after ten. Delete the old file a day later.",
            file.display()
        ),
    )
}

pub(super) fn show_config(common: &Common, out: Out) -> Result<()> {
    let config = configuration(common)?;
    let mut value = serde_json::to_value(&config).map_err(|e| Error::Internal(e.to_string()))?;
    if let Some(url) = value.get_mut("database_url") {
        *url = json!(mask(&config.database_url));
    }
    if let Some(secret) = value.get_mut("evidence_s3_secret") {
        *secret = json!(if config.evidence_s3_secret.0.is_empty() {
            ""
        } else {
            "***"
        });
    }
    let mut words = String::new();
    for (name, setting) in value.as_object().into_iter().flatten() {
        words.push_str(&format!("{name} = {setting}\n"));
    }
    out.answer(&value, &words)
}

/// An address without its password, wherever that stands.
fn mask(address: &str) -> String {
    if address.is_empty() {
        return String::new();
    }
    let Ok(mut url) = url::Url::parse(address) else {
        return "***".into();
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".into();
    }
    let hidden = |name: &str| name.contains("pass");
    if url.query_pairs().any(|(name, _)| hidden(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if hidden(&name) { "***".into() } else { value };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

pub(super) fn rebuild(common: &Common, host: Host, out: Out) -> Result<()> {
    let config = configuration(common)?;
    check_initialised(&config)?;
    let alone = Presence::alone(&config.data, &config.database()?)?;
    let desk = Desk::open(common, host)?;
    let bar = out.is_watched().then(ProgressBar::new_spinner);
    let entries = desk.store.write(|conn| {
        let entries = rebuilding::run(conn, &mut |done| {
            if let Some(bar) = &bar {
                bar.set_message(format!("{done} entries"));
                bar.tick();
            }
        })?;
        let details = json!({ "entries": entries });
        Deed::new(&desk.host, By::CommandLine, Act::Rebuild, details).note_everywhere(conn)?;
        Ok(entries)
    })?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    drop(alone);
    out.answer(
        &json!({"entries": entries}),
        &format!("rebuilt from {entries} entries"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (address, want) in [
            ("postgres://u:secret@h/d", "postgres://u:***@h/d"),
            (
                "postgres://u@h/d?password=secret&x=1",
                "postgres://u@h/d?password=***&x=1",
            ),
            (
                "postgres://h/d?sslpassword=secret",
                "postgres://h/d?sslpassword=***",
            ),
            ("sqlite:///var/lib/x.sqlite", "sqlite:///var/lib/x.sqlite"),
            ("", ""),
            ("not an address", "***"),
        ] {
            assert_eq!(mask(address), want);
        }
    }

    /// The file of a new data folder says what holds anyway, and names every
    /// setting.
    #[test]
    fn the_file_of_a_new_folder_is_the_defaults() {
        let value = serde_json::to_value(Config::default()).unwrap();
        for name in value
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "data")
        {
            assert!(TOML.contains(&format!("# {name} = ")), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        let active: String = TOML
            .lines()
            .map(|line| {
                let setting = line.strip_prefix("# ").filter(|rest| {
                    rest.split_once(" = ")
                        .is_some_and(|(name, _)| value.get(name).is_some())
                });
                format!("{}\n", setting.unwrap_or(line))
            })
            .filter(|line| !line.contains('…'))
            .collect();
        fs::write(folder.path().join("scrutineer.toml"), active).unwrap();
        let config = Config::load(folder.path(), &Overrides::default()).unwrap();
        let mut loaded = serde_json::to_value(config).unwrap();
        loaded["data"] = value["data"].clone();
        assert_eq!(loaded, value);
    }
}
