//! What it means when there is no good answer. Entries stay, whatever it is.

use protocol::{
    codes::Code,
    planted::{Fault, is as planted},
};

use super::{Change, Command, Ended, Engine, Failure, Sent, plan};
use crate::{host::Environment, journal::delivery::Standing};

impl Engine {
    pub(super) fn on_enrolment_failure(&mut self, failure: Failure, env: &dyn Environment) {
        if let Failure::Problem {
            status: 400..=499,
            code,
            ..
        } = &failure
            && !is_wait(&failure)
        {
            self.snapshot.identity.refused = Some(*code);
            self.out.push_back(Command::Apply(vec![Change::Identity(
                self.snapshot.identity.clone(),
            )]));
        }
        self.end_with(failure, env);
    }

    pub(super) fn on_token_failure(&mut self, failure: Failure, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        match failure {
            Failure::Problem {
                status: 400..=499,
                code,
                ..
            } if !is_wait(&failure) => {
                let known = self.snapshot.sync.unknown || code != Code::InvalidGrant;
                if run.answered && !known {
                    // It may not know this device any more, and says that of no key. The
                    // enrolment costs little if it does.
                    self.snapshot.sync.unknown = true;
                    run.token_asked = false;
                    let (done, bytes) = (run.done.clone(), run.plan.max_bytes());
                    let plan = self.plan(&done, bytes);
                    if let Some(run) = &mut self.run {
                        run.plan = plan;
                    }
                    let sync = Change::Sync(self.snapshot.sync.clone());
                    self.out.push_back(Command::Apply(vec![sync]));
                    self.go_on(env);
                } else if run.answered {
                    // Entries were taken; only reading is not possible.
                    run.report.reading = Some(code);
                    run.files.stopped = true;
                    self.finish(None);
                } else {
                    // Perhaps only the clock was wrong: any exchange tells the server's time.
                    run.token_asked = false;
                    self.send_exchange(Sent::default(), env);
                }
            }
            other => self.end_with(other, env),
        }
    }

    pub(super) fn on_failure(&mut self, sent: Sent, failure: Failure, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        match &failure {
            Failure::Problem { status: 413, .. }
            | Failure::Network {
                status: Some(413), ..
            } if planted(Fault::TooLargeNotHalved) => self.end_with(failure, env),
            // Also when a proxy says so: smaller is worth a try, and proves nothing.
            Failure::Network {
                status: Some(413), ..
            } if sent.hashes.len() > 1 => {
                run.plan.halve(sent.hashes);
                self.go_on(env);
            }
            Failure::Network { connected, .. } => {
                if *connected {
                    // The next may get through where a large one broke off.
                    let bytes = run.plan.max_bytes() / 2;
                    run.plan.limit(bytes.max(plan::BATCH_BYTES_LEAST));
                }
                self.end_with(failure, env);
            }
            Failure::Problem {
                status: 401 | 403,
                code,
                ..
            } if sent.with_token => {
                self.snapshot.sync.token = None;
                if run.token_asked {
                    run.report.reading = Some(*code);
                    run.news_read = true;
                }
                self.send_exchange(
                    Sent {
                        with_token: false,
                        ..sent
                    },
                    env,
                );
            }
            Failure::Problem {
                code: Code::InvalidCursor,
                ..
            } if !run.cursor_reset => {
                run.cursor_reset = true;
                self.snapshot.sync.cursor = None;
                self.send_exchange(sent, env);
            }
            Failure::Problem { code, .. } if is_of_the_client(*code) => self.end_with(failure, env),
            Failure::Problem { status: 413, .. } if sent.hashes.len() > 1 => {
                run.plan.halve(sent.hashes);
                self.go_on(env);
            }
            Failure::Problem {
                status: 400 | 413 | 415 | 422,
                code,
                ..
            } => {
                let code = *code;
                self.isolate(sent, code, failure, env);
            }
            // One entry that the server stumbles over must not stop the others for
            // ever; but a server in trouble is not asked more often than needed.
            Failure::Problem {
                status: 500, code, ..
            } if self.snapshot.sync.failures >= 2 || self.is_known_to_fail(&sent) => {
                let code = *code;
                self.isolate(sent, code, failure, env);
            }
            Failure::Problem { .. } => self.end_with(failure, env),
        }
    }

    /// Whether it carries nothing but an entry that no request with it was answered
    /// before: others wait behind it.
    fn is_known_to_fail(&self, sent: &Sent) -> bool {
        let [one] = sent.hashes.as_slice() else {
            return false;
        };
        let told = self.snapshot.deliveries.of(one);
        told.is_some_and(|delivery| delivery.standing == Standing::Stuck)
            && !planted(Fault::StuckBlocks)
    }

    /// Halves the batch until the culprit is alone.
    fn isolate(&mut self, sent: Sent, code: Code, failure: Failure, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        match sent.hashes.as_slice() {
            _ if planted(Fault::PoisonBlocks) => self.end_with(failure, env),
            [] => self.end_with(failure, env),
            [culprit] => {
                let culprit = *culprit;
                if run.answered {
                    self.set_aside(culprit, code, env);
                } else {
                    // Nothing has been answered yet: is it the entry, or any request?
                    let suspect = Some((culprit, code));
                    self.send_exchange(
                        Sent {
                            suspect,
                            ..Sent::default()
                        },
                        env,
                    );
                }
            }
            _ if run.halvings == 0 => self.end_with(failure, env),
            _ => {
                run.halvings -= 1;
                run.plan.split(sent.hashes);
                self.go_on(env);
            }
        }
    }

    /// Ends the run with this failure and says when to come back.
    pub(super) fn end_with(&mut self, failure: Failure, env: &dyn Environment) {
        let asked = match &failure {
            Failure::Problem {
                retry_after: Some(seconds),
                ..
            } if is_wait(&failure) => Some(*seconds),
            _ => None,
        };
        let sync = &mut self.snapshot.sync;
        match asked {
            Some(seconds) => {
                let millis = sync.asked_to_wait(seconds, 0, env);
                if let Some(run) = &mut self.run {
                    run.report.wait_ms = Some(millis);
                }
            }
            None => sync.back_off(env),
        }
        self.finish(Some(ended(failure)));
    }
}

/// Whether the server asks to come back later.
fn is_wait(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Problem {
            status: 429 | 503,
            ..
        }
    )
}

/// Codes that blame the request as such, whatever it carries.
fn is_of_the_client(code: Code) -> bool {
    matches!(
        code,
        Code::UnsupportedProtocol
            | Code::UnsupportedMediaType
            | Code::MethodNotAllowed
            | Code::NotFound
            | Code::InvalidCursor
    )
}

fn ended(failure: Failure) -> Ended {
    match failure {
        Failure::Network { message, .. } => Ended {
            code: Code::NetworkFailed,
            message: format!(
                "the server could not be reached ({message}); everything is kept on this device"
            ),
        },
        Failure::Problem { code, detail, .. } => {
            let detail = if detail.is_empty() {
                code.title().to_owned()
            } else {
                detail
            };
            Ended {
                code,
                message: format!("the server answered: {detail}"),
            }
        }
    }
}
