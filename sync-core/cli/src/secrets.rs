//! The keys of a home: locking them, losing them, destroying them.

use std::path::Path;

use async_trait::async_trait;
use indicatif::HumanBytes;
use protocol::codes::Code;
use serde::Serialize;
use serde_json::json;
use sync_core::{
    Client,
    client::{
        FileStatus,
        home::{self, Here},
        lock::{Lock, NobodyToAsk, Unlock},
    },
    host::{Environment as _, Native},
    journal::delivery::Standing,
    transport::{Answer, Call, Transport, Unreachable},
};
use zeroize::Zeroizing;

use crate::{
    args::Passphrase,
    ask::{Asker, confirm},
    run::{APP, Done, Failure, refused},
    secret_service,
};

/// For commands that need no network.
pub(crate) struct Nowhere;

#[async_trait(?Send)]
impl Transport for Nowhere {
    async fn send(&self, _: Call) -> Result<Answer, Unreachable> {
        Err(Unreachable {
            message: "this command uses no network".into(),
            connected: false,
        })
    }
}

pub(crate) fn no_home(folder: &Path) -> Failure {
    let message = format!("there is no home in {}", folder.display());
    refused(Code::NotEnrolled, message)
}

/// Locks the keys with something else.
pub(crate) fn passphrase(
    folder: &Path,
    change: Passphrase,
    asker: &Asker,
) -> Result<Done, Failure> {
    if !home::is_home(folder) {
        return Err(no_home(folder));
    }
    let before = home::lock(folder)?;
    match (&change, &before) {
        (Passphrase::Set, Some(_)) => {
            let message = "the keys are locked already; use `passphrase change`";
            return Err(refused(Code::AlreadyExists, message));
        }
        (Passphrase::Change { .. } | Passphrase::Remove, None) => {
            let message = "the keys are not locked; use `passphrase set`";
            return Err(refused(Code::NotFound, message));
        }
        _ => {}
    }
    let (keys, env) = (home::keys(folder, asker)?, Native::new());
    let (lock, words, by) = match change {
        Passphrase::Set | Passphrase::Change { .. } => {
            let file = match &change {
                Passphrase::Change {
                    new_passphrase_file,
                } => new_passphrase_file.as_deref(),
                _ => asker.file(),
            };
            let passphrase = asker.new_passphrase(file)?;
            let lock = Lock::with_passphrase(&passphrase, &env)?;
            let words = "The keys are locked with the passphrase. Without it nobody can read what is here, \
                         not even you; the mission can still open what `pack` takes out.\n";
            (Some(lock), words, "passphrase")
        }
        Passphrase::Remove => (None, "The keys are not locked any more.\n", "nothing"),
        Passphrase::SecretService => {
            let mut name = [0; 16];
            env.random(&mut name);
            // Never `-…`, which secret-tool would take for an option.
            let name = format!("key-{}", protocol::encoding::b64(name));
            let mut key = Zeroizing::new([0; 32]);
            env.random(&mut *key);
            secret_service::store(&name, &key)?;
            // A service that forgets at once would lock everybody out.
            if *asker.secret_service_key(&name)? != *key {
                let message = "it did not keep what it was given; nothing was changed";
                return Err(refused(Code::SecretServiceFailed, message));
            }
            let words = "The keys are locked by the desktop's secret service.\n";
            (
                Some((Lock::SecretService { name }, key)),
                words,
                "secret_service",
            )
        }
    };
    keys.set_lock(lock, &env)?;
    if let Some(Lock::SecretService { name }) = before {
        secret_service::forget(&name)?;
    }
    Ok(Done {
        json: json!({"locked_by": by}),
        words: words.to_owned(),
    })
}

/// What the server lacks.
#[derive(Serialize)]
struct Undelivered {
    reports: usize,
    entries: usize,
    files: usize,
    file_bytes: u64,
}

/// What is here that will be gone.
#[derive(Serialize)]
struct AtStake {
    /// `None`: the keys cannot be opened, so it cannot be told.
    undelivered: Option<Undelivered>,
    /// What lies here, and in homes that were moved aside, delivered or not.
    here: Here,
}

impl AtStake {
    async fn look(folder: &Path, unlock: &dyn Unlock) -> Result<Self, Failure> {
        // Opening would make a home where there is none.
        let opened = match home::is_home(folder) {
            true => home::open_with(folder, Box::new(Nowhere), APP, unlock)
                .await
                .ok(),
            false => None,
        };
        let undelivered = match opened {
            Some(opened) => Some(undelivered(&opened.client).await?),
            None => None,
        };
        Ok(Self {
            undelivered,
            here: home::here(folder).await,
        })
    }

    fn words(&self) -> String {
        let Here {
            entries,
            files,
            file_bytes,
            homes_aside,
        } = &self.here;
        let mut words = match &self.undelivered {
            Some(Undelivered {
                reports: 0,
                entries: 0,
                files: 0,
                ..
            }) => "Everything in this home was delivered.\n".to_owned(),
            Some(lacks) => format!(
                "NOT DELIVERED YET, and never will be from here: {} entries of {} reports, {} files ({}).\n",
                lacks.entries,
                lacks.reports,
                lacks.files,
                HumanBytes(lacks.file_bytes)
            ),
            None => {
                "The keys cannot be opened, so it cannot be told what was delivered.\n".to_owned()
            }
        };
        words += &format!(
            "Here are {entries} entries and {files} files ({}).\n",
            HumanBytes(*file_bytes)
        );
        if *homes_aside > 0 {
            words += &format!("{homes_aside} of it are homes that were moved aside.\n");
        }
        words
    }
}

async fn undelivered(client: &Client) -> Result<Undelivered, Failure> {
    let (reports, overview) = (client.list().await?, client.status().await?);
    let waits = |status: FileStatus| !matches!(status, FileStatus::Delivered | FileStatus::Durable);
    let files = reports.iter().flat_map(|report| &report.files);
    let files = files.filter(|file| waits(file.status));
    Ok(Undelivered {
        reports: reports
            .iter()
            .filter(|report| report.entries.iter().any(|step| waits_here(step.delivery)))
            .count(),
        entries: overview.pending,
        files: files.clone().count(),
        file_bytes: files.map(|file| file.file.size).sum(),
    })
}

fn waits_here(standing: Option<Standing>) -> bool {
    matches!(standing, None | Some(Standing::Refused | Standing::Stuck))
}

/// Moves a home aside.
pub(crate) async fn begin_anew(folder: &Path, yes: bool, asker: &Asker) -> Result<Done, Failure> {
    if !home::is_home(folder) {
        return Err(no_home(folder));
    }
    if !yes {
        let at_stake = AtStake::look(folder, asker).await?;
        let what = format!(
            "{}This home is moved aside, whole; nothing in it is sent any more by syncing. It can be packed.",
            at_stake.words()
        );
        confirm("anew", &what)?;
    }
    let kept = home::begin_anew(folder)?;
    Ok(Done {
        words: format!(
            "The home is kept as {0}.\n\
             Pack it for the mission: observer --home {0} pack -o FILE\n\
             Then use a new link: observer enrol LINK\n",
            kept.display()
        ),
        json: json!({"kept_at": kept}),
    })
}

/// Destroys a home.
pub(crate) async fn wipe(folder: &Path, yes: bool, asker: &Asker) -> Result<Done, Failure> {
    let unlock: &dyn Unlock = if yes && asker.file().is_none() {
        &NobodyToAsk
    } else {
        asker
    };
    let at_stake = if home::is_home(folder) || !home::moved_aside(folder).is_empty() {
        Some(AtStake::look(folder, unlock).await?)
    } else {
        None
    };
    if let Some(at_stake) = at_stake.as_ref().filter(|_| !yes) {
        let what = format!(
            "{}All of it is destroyed, and nobody can bring it back.",
            at_stake.words()
        );
        confirm("wipe", &what)?;
    }
    let removed = home::wipe::run(folder, &secret_service::forget)?;
    let mut json = json!({"wiped": true, "files_removed": removed});
    let mut words = String::new();
    if let Some(at_stake) = at_stake {
        json["undelivered"] = json!(at_stake.undelivered);
        json["here"] = json!(at_stake.here);
        words += &at_stake.words();
    }
    words += "It is destroyed: the keys first, then everything else.\n";
    Ok(Done { json, words })
}
