//! Packing for a courier, and being one.

use std::{path::Path, time::Duration};

use indicatif::HumanBytes;
use protocol::{
    bundle::{Standing, State},
    codes::Code,
};
use serde_json::json;
use sync_core::{
    Error,
    client::{FileProgress, PackOptions, Packed, home},
    courier::{Courier, Interrupted},
    transport::Transport,
};

use crate::{
    ask::Asker,
    files::Bars,
    run::{APP, Done, Failure, refused},
    secrets::{Nowhere, no_home},
};

/// Packs with keys, or without them if they are lost.
pub(crate) async fn pack(
    folder: &Path,
    output: &Path,
    options: PackOptions,
    without_keys: bool,
    asker: &Asker,
) -> Result<Done, Failure> {
    if !home::is_home(folder) {
        return Err(no_home(folder));
    }
    let opened = if without_keys {
        None
    } else {
        match home::open_with(folder, Box::new(Nowhere), APP, asker).await {
            Ok(opened) => Some(opened),
            Err(error) if error.code() == Code::KeysLost => None,
            Err(error) => return Err(told_another_way(error)),
        }
    };
    let (packed, lost) = match opened {
        Some(opened) => (home::pack(&opened.client, output, options).await?, false),
        None => (home::pack_without_keys(folder, output, APP).await?, true),
    };
    Ok(tell(&packed, output, lost))
}

/// Locked or damaged keys are no reason to keep reports from their mission.
fn told_another_way(error: Error) -> Failure {
    match error {
        Error::Refused { code, message }
            if matches!(
                code,
                Code::PassphraseNeeded | Code::PassphraseWrong | Code::SecretServiceFailed
            ) =>
        {
            Error::Refused {
                code,
                message: format!("{message}; without it: --without-keys"),
            }
        }
        Error::Device { code, message } if code == Code::DataFolderInvalid => Error::Device {
            code,
            message: format!("{message}; if it cannot be mended: --without-keys"),
        },
        other => other,
    }
    .into()
}

fn tell(packed: &Packed, output: &Path, without_keys: bool) -> Done {
    let mut json = json!(packed);
    json["without_keys"] = json!(without_keys);
    json["file"] = json!((!packed.is_empty()).then_some(output));
    let mut words = if packed.is_empty() {
        "There is nothing to pack: the server has everything.\n".to_owned()
    } else {
        format!(
            "{} holds {} entries and {} files ({}), sealed to the mission.\n\
             Anybody may carry it and hand it in: `observer deliver FILE`.\n",
            output.display(),
            packed.entries,
            packed.files,
            HumanBytes(packed.file_bytes)
        )
    };
    if without_keys {
        words += "It was packed without keys, sealed as it lies; only the mission's key holder can open it.\n";
    }
    if !packed.files_missing.is_empty() {
        words += &format!(
            "{} files could not be packed: they are no longer here, or damaged.\n",
            packed.files_missing.len()
        );
    }
    Done { json, words }
}

/// The server of this home.
pub(crate) async fn own_server(folder: &Path, asker: &Asker) -> Result<String, Failure> {
    let unknown = || {
        let message = "this device is enrolled nowhere; name the server's address: --server URL";
        refused(Code::NotEnrolled, message)
    };
    if !home::is_home(folder) {
        return Err(unknown());
    }
    let opened = home::open_with(folder, Box::new(Nowhere), APP, asker).await?;
    let enrolment = opened.client.enrolment().await?;
    enrolment
        .map(|enrolment| enrolment.server)
        .ok_or_else(unknown)
}

/// Seconds between two tries: the first, and the longest.
const WAIT_FIRST: u64 = 1;
const WAIT_MOST: u64 = 30;

/// Hands a bundle in, and tries again as long as patience lasts.
pub(crate) async fn deliver(
    bundle: &Path,
    origin: &str,
    transport: &dyn Transport,
    patience: Duration,
    bars: &Bars,
) -> Result<Done, Failure> {
    let mut courier = Courier::new(bundle, origin)?;
    let wish = courier.wish();
    let tell = |sent| {
        bars.tell(FileProgress {
            file: wish.bundle,
            sent,
            size: wish.size,
        });
    };
    let (mut left, mut wait) = (patience, WAIT_FIRST);
    loop {
        let (done, asked) = match courier.run(transport, &tell).await {
            Ok(state) if state.state != Standing::Opening => return delivered(&state),
            Ok(state) => (Ok(state), None),
            Err(Interrupted {
                error,
                again,
                wait: asked,
                progressed,
            }) => {
                if !again {
                    return Err(error.into());
                }
                if progressed {
                    wait = WAIT_FIRST;
                }
                (Err(error), asked)
            }
        };
        let pause = Duration::from_secs(asked.map_or(wait, |asked| wait.max(asked.into())));
        if pause > left {
            return done.map_or_else(|error| Err(error.into()), |state| delivered(&state));
        }
        left -= pause;
        wait = (wait * 2).min(WAIT_MOST);
        tokio::time::sleep(pause).await;
    }
}

fn delivered(state: &State) -> Result<Done, Failure> {
    let words = match state.state {
        Standing::Imported => "Delivered: the server has imported it.\n",
        Standing::Waits => {
            "Delivered: the server keeps it for whoever holds the mission's key. Keep the file until you hear that it was imported.\n"
        }
        Standing::Opening => {
            "Delivered: the server has it and is still importing it. Ask again with the same command.\n"
        }
        Standing::Refused | Standing::Receiving => {
            let code = state.code.unwrap_or(Code::BundleInvalid);
            let message = format!("the server has it and cannot use it: {}", code.title());
            return Err(Error::Server { code, message }.into());
        }
    };
    Ok(Done {
        json: json!(state),
        words: words.to_owned(),
    })
}
