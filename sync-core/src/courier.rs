//! Handing in a bundle that a phone packed: from any device, enrolled or not. The
//! bundle is sealed; nothing of it can be seen here.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use protocol::{
    bundle::{Request, Standing, State},
    codes::Code,
    ids::FileHash,
};
use sha2::{Digest as _, Sha256};

use crate::{
    engine::Failure,
    error::Error,
    transport::{Transport, is_allowed_origin, wire},
};

/// Bytes of a part: the first, and the bounds of the others. They double while
/// parts get through, and are halved when one breaks off.
const PART_FIRST: u64 = 64 * 1024;
const PART_LEAST: u64 = 4 * 1024;
const PART_MOST: u64 = 8 * 1024 * 1024;

/// A bundle on its way to a server.
#[derive(Debug)]
pub struct Courier {
    path: PathBuf,
    file: File,
    origin: String,
    wish: Request,
    part: u64,
    /// The furthest that the server has said.
    seen: u64,
}

/// What ended a run.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// Why.
    pub error: Error,
    /// Whether the same may succeed later.
    pub again: bool,
    /// Seconds to wait at least, if the server asks for it.
    pub wait: Option<u32>,
    /// Whether anything got through since the run before.
    pub progressed: bool,
}

impl Courier {
    /// Reads a bundle once, for its hash.
    ///
    /// # Errors
    /// [`Code::FileUnreadable`]; [`Code::LinkInvalid`] for an address that is neither
    /// https nor this machine's own.
    pub fn new(path: &Path, origin: &str) -> Result<Self, Error> {
        let origin = origin.trim_end_matches('/').to_owned();
        if !is_allowed_origin(&origin) {
            return Err(Error::refused(
                Code::LinkInvalid,
                "the server's address must begin with https:// and name nothing but the host",
            ));
        }
        let unreadable = |error: std::io::Error| told(path, &error.to_string());
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(told(path, "it is not a file"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let (mut sha256, mut size, mut part) = (Sha256::new(), 0, vec![0; 64 * 1024]);
        loop {
            match file.read(&mut part).map_err(unreadable)? {
                0 => break,
                read => {
                    sha256.update(&part[..read]);
                    size += read as u64;
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            origin,
            wish: Request {
                bundle: FileHash(sha256.finalize().into()),
                size,
            },
            part: PART_FIRST,
            seen: 0,
        })
    }

    /// The bundle's name and size.
    #[must_use]
    pub fn wish(&self) -> Request {
        self.wish
    }

    /// Goes on where the server says, until all has been sent. `tell` hears how many
    /// bytes the server has. Can be called again after an interruption.
    ///
    /// # Errors
    /// [`Interrupted`]; nothing that got through is sent again.
    pub async fn run(
        &mut self,
        transport: &dyn Transport,
        tell: &dyn Fn(u64),
    ) -> Result<State, Interrupted> {
        let before = self.seen;
        let call = wire::ask_bundle(&self.origin, &self.wish);
        let mut state = self.heard(wire::read_bundle(transport.send(call).await), before)?;
        while state.state == Standing::Receiving {
            tell(state.offset);
            let offset = state.offset;
            let length = self.part.min(self.wish.size.saturating_sub(offset));
            let part = self.read(offset, length).map_err(|error| Interrupted {
                error,
                again: false,
                wait: None,
                progressed: self.seen > before,
            })?;
            let call = wire::send_bundle(&self.origin, &self.wish, offset, part);
            state = self.heard(wire::read_bundle(transport.send(call).await), before)?;
            self.part = (self.part * 2).min(PART_MOST);
        }
        tell(state.offset);
        Ok(state)
    }

    fn heard(&mut self, answer: Result<State, Failure>, before: u64) -> Result<State, Interrupted> {
        let progressed = self.seen > before;
        let interrupted = |error, again, wait| Interrupted {
            error,
            again,
            wait,
            progressed,
        };
        match answer {
            Ok(state) if state.offset <= self.wish.size && state.bundle == self.wish.bundle => {
                self.seen = self.seen.max(state.offset);
                Ok(state)
            }
            Ok(_) => {
                let message = "the server answered for another bundle".into();
                Err(interrupted(Error::Network { message }, false, None))
            }
            Err(Failure::Network { message, .. }) => {
                self.part = (self.part / 2).max(PART_LEAST);
                Err(interrupted(Error::Network { message }, true, None))
            }
            Err(Failure::Problem {
                status,
                code,
                detail,
                retry_after,
            }) => {
                let message = if detail.is_empty() {
                    code.title().to_owned()
                } else {
                    format!("{} ({detail})", code.title())
                };
                // Where it goes on is asked again; a full server may have room later.
                let again = matches!(status, 409 | 429 | 500..=506 | 508..);
                let error = Error::Server { code, message };
                Err(interrupted(error, again, retry_after))
            }
        }
    }

    fn read(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let unreadable = |error: std::io::Error| told(&self.path, &error.to_string());
        self.file
            .seek(SeekFrom::Start(offset))
            .map_err(unreadable)?;
        let mut part = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        (&mut self.file)
            .take(length)
            .read_to_end(&mut part)
            .map_err(unreadable)?;
        if part.len() as u64 == length && length > 0 {
            Ok(part)
        } else {
            Err(told(&self.path, "it changed while it was sent"))
        }
    }
}

fn told(path: &Path, reason: &str) -> Error {
    Error::refused(
        Code::FileUnreadable,
        format!("{} cannot be delivered: {reason}", path.display()),
    )
}
