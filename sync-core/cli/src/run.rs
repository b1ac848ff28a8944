//! The commands on the client façade.

use std::{io::Read as _, path::PathBuf, time::Duration};

use protocol::{
    codes::Code,
    entry::{Move, ReportFields},
    ids::SubjectId,
    limits,
};
use serde_json::{Value, json};
use sync_core::{
    Client, Error,
    client::{
        NewCheckIn, NewReport, PackOptions, SyncOptions, SyncReport,
        home::{self, Home},
    },
    transport::{HttpOptions, HttpTransport},
};

use crate::{
    args::{Cli, Command},
    ask::Asker,
    courier, files, output, reference, secrets,
    tell::{self, Keys, WAITS},
};

/// Told to the server.
pub(crate) const APP: &str = concat!("observer/", env!("CARGO_PKG_VERSION"));

/// What a command did.
pub(crate) struct Done {
    pub(crate) json: Value,
    pub(crate) words: String,
}

/// What went wrong, and what was done before.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) more: Option<Value>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, more: None }
    }
}

pub(crate) fn refused(code: Code, message: impl Into<String>) -> Failure {
    Error::Refused {
        code,
        message: message.into(),
    }
    .into()
}

pub(crate) async fn run(cli: Cli) -> Result<Done, Failure> {
    let folder = match cli.home {
        Some(folder) => folder,
        None => default_home()?,
    };
    let options = HttpOptions {
        ca_file: cli.ca_file,
        ..HttpOptions::default()
    };
    let asker = Asker::new(cli.passphrase_file);
    let command = match cli.command {
        Command::Passphrase(change) => return secrets::passphrase(&folder, change, &asker),
        Command::BeginAnew { yes } => return secrets::begin_anew(&folder, yes, &asker).await,
        Command::Wipe { yes } => return secrets::wipe(&folder, yes, &asker).await,
        Command::Pack {
            output,
            all,
            without_keys,
        } => {
            let options = PackOptions { all };
            return courier::pack(&folder, &output, options, without_keys, &asker).await;
        }
        other => other,
    };
    let transport = HttpTransport::new(&options)
        .map_err(|message| refused(Code::ConfigurationInvalid, message))?;
    if let Command::Deliver {
        bundle,
        server,
        patience,
    } = command
    {
        let origin = match server {
            Some(server) => server,
            None => courier::own_server(&folder, &asker).await?,
        };
        let (patience, bars) = (
            Duration::from_secs(patience.into()),
            files::Bars::new(!cli.json),
        );
        return courier::deliver(&bundle, &origin, &transport, patience, &bars).await;
    }
    let opened = home::open_with(&folder, Box::new(transport), APP, &asker).await?;
    let Home { client, salvage } = opened;
    if let Some(salvage) = salvage.filter(|_| !cli.json) {
        output::err(&format!(
            "observer: the journal's file was damaged. It is kept as {}; {} entries were carried over.",
            salvage.kept_at.display(),
            salvage.rows
        ));
    }
    match command {
        Command::Passphrase(_)
        | Command::BeginAnew { .. }
        | Command::Wipe { .. }
        | Command::Deliver { .. }
        | Command::Pack { .. } => Err(refused(Code::Usage, "this command was done before")),
        Command::Enrol { url } => {
            let url = words("link", url)?;
            Ok(tell::enrolled(&client.enrol(&url).await?))
        }
        Command::File {
            category,
            unlisted_category,
            details,
            text,
        } => {
            let station = details.station.as_deref();
            let notes =
                reference::check(&client, Some(&category), unlisted_category, station).await?;
            let new = NewReport {
                category,
                severity: details.severity,
                text: Some(words("text", text)?),
                station: details.station,
                place: details.place.place(),
                observed_at: details.at,
            };
            let done = tell::filed(client.file(new).await?, "Filed");
            Ok(reference::noted(done, &notes))
        }
        Command::Amend {
            report,
            category,
            unlisted_category,
            details,
            text,
        } => {
            let (named, station) = (category.as_deref(), details.station.as_deref());
            let notes = reference::check(&client, named, unlisted_category, station).await?;
            let fields = ReportFields {
                category,
                severity: details.severity,
                text: text.map(|text| words("text", text)).transpose()?.into(),
                station: details.station.into(),
                place: details.place.place().into(),
                observed_at: details.at.into(),
            };
            let report = find(&client, &report).await?;
            let done = tell::filed(client.amend(report, fields).await?, "Amended");
            Ok(reference::noted(done, &notes))
        }
        Command::Withdraw { report, reason } => {
            let reason = words("reason", reason)?;
            let report = find(&client, &report).await?;
            Ok(tell::filed(
                client.withdraw(report, &reason).await?,
                "Withdrawn",
            ))
        }
        Command::Answer { report, text } => {
            let text = words("text", text)?;
            let report = find(&client, &report).await?;
            Ok(tell::filed(client.answer(report, &text).await?, "Answered"))
        }
        Command::CheckIn {
            station,
            left,
            place,
        } => {
            let notes = reference::check(&client, None, false, Some(&station)).await?;
            let event = if left { Move::Left } else { Move::Arrived };
            let done = client
                .check_in(NewCheckIn {
                    station,
                    event,
                    place: place.place(),
                })
                .await?;
            let done = Done {
                json: json!({"check_in": done.report, "entry": done.entry}),
                words: format!("Noted; {WAITS}\n"),
            };
            Ok(reference::noted(done, &notes))
        }
        Command::Attach {
            report,
            files,
            taken_at,
        } => {
            let report = find(&client, &report).await?;
            files::attach(&client, report, files, taken_at).await
        }
        Command::Settings {
            files,
            keep_evidence,
        } => {
            let mut settings = client.settings().await?;
            if files.is_some() || keep_evidence.is_some() {
                settings.files = files.map_or(settings.files, Into::into);
                settings.keep_evidence = keep_evidence.map_or(settings.keep_evidence, Into::into);
                client.set_settings(&settings).await?;
            }
            Ok(tell::settings(&settings))
        }
        Command::List => {
            let reports = client.list().await?;
            Ok(Done {
                json: json!(reports),
                words: tell::listed(&reports),
            })
        }
        Command::Show { report } => {
            let report = find(&client, &report).await?;
            let report = client.report(report).await?.ok_or_else(unknown)?;
            Ok(Done {
                json: json!(report),
                words: tell::shown(&report),
            })
        }
        Command::Messages { unread, peek } => {
            let mut messages = client.messages().await?;
            messages.retain(|message| !(unread && message.read));
            if !peek {
                let read: Vec<_> = messages.iter().map(|message| message.entry).collect();
                client.mark_read(&read).await?;
            }
            Ok(tell::messages(&messages))
        }
        Command::Stations { search } => reference::stations(&client, search.as_deref()).await,
        Command::Categories { lang } => reference::categories(&client, &lang).await,
        Command::Status => {
            let (overview, aside) = (client.status().await?, home::kept_aside(&folder));
            let keys = Keys {
                lock: home::lock(&folder)?,
                mission_copy: home::has_mission_copy(&folder),
                homes_aside: home::moved_aside(&folder),
            };
            Ok(tell::stood(&overview, &aside, &keys))
        }
        Command::Sync { patience, no_files } => {
            let bars = files::Bars::new(!cli.json);
            let tell = |progress| bars.tell(progress);
            let options = SyncOptions {
                no_files,
                progress: Some(&tell),
            };
            sync(&client, Duration::from_secs(patience.into()), &options).await
        }
    }
}

fn default_home() -> Result<PathBuf, Failure> {
    std::env::home_dir()
        .map(|home| home.join(".local/share/scrutineer-observer"))
        .ok_or_else(|| {
            refused(
                Code::DataFolderInvalid,
                "there is no home folder; name one with --home",
            )
        })
}

/// The words given, or standard input for `-`, without the last line's end.
fn words(name: &str, given: String) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given);
    }
    let mut bytes = Vec::new();
    let most = limits::TEXT_CHARS * 4 + 2;
    std::io::stdin()
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            refused(
                Code::InvalidValue,
                format!("standard input cannot be read: {error}"),
            )
        })?;
    if bytes.len() > most {
        let message = format!(
            "the {name} is longer than {} characters",
            limits::TEXT_CHARS
        );
        return Err(refused(Code::TooLong, message));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| refused(Code::InvalidValue, "standard input is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Finds a report by its id or the beginning of one, if that is unambiguous.
async fn find(client: &Client, given: &str) -> Result<SubjectId, Failure> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let given = given.to_ascii_lowercase();
    let reports = if given.len() < 4 {
        Vec::new()
    } else {
        client.list().await?
    };
    let mut found = reports
        .iter()
        .filter(|report| report.report.to_string().starts_with(&given));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.report),
        (Some(_), Some(_)) => Err(refused(
            Code::ReportUnknown,
            "several reports begin so; give more of the id",
        )),
        _ => Err(unknown()),
    }
}

fn unknown() -> Failure {
    refused(
        Code::ReportUnknown,
        "no report with this id was filed from this device",
    )
}

/// Syncs, and once more when the server asks to come back shortly.
async fn sync(
    client: &Client,
    patience: Duration,
    options: &SyncOptions<'_>,
) -> Result<Done, Failure> {
    let mut total = SyncReport::default();
    let mut left = patience;
    loop {
        let (report, error) = match client.sync_with(options).await {
            Ok(report) => (report, None),
            Err(failed) => (*failed.report, Some(failed.error)),
        };
        let wait = report.wait_ms.map(Duration::from_millis);
        total.absorb(report);
        let Some(error) = error else {
            return Ok(Done {
                words: tell::synced(&total),
                json: json!(total),
            });
        };
        match wait {
            Some(wait) if wait <= left => {
                left -= wait;
                tokio::time::sleep(wait).await;
            }
            _ => {
                return Err(Failure {
                    error,
                    more: Some(json!(total)),
                });
            }
        }
    }
}
