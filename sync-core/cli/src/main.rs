//! `observer`: an observer's reports from a laptop, online or not.
//!
//! With `--json` exactly one JSON value goes to standard output and nothing
//! else; errors go to standard error as one JSON object with `code`. Exit status
//! 1 is a refusal or failure, 2 wrong usage.

mod args;
mod ask;
mod courier;
mod files;
mod output;
mod reference;
mod run;
mod secret_service;
mod secrets;
mod tell;

use std::process::ExitCode;

const _: () = assert!(
    !protocol::planted::COMPILED,
    "planted faults are for the simulator"
);

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Known before the rest is parsed, so that wrong usage is told in JSON too.
    let json = args
        .iter()
        .skip(1)
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json");
    let parsed = match args::parse(args) {
        Ok(parsed) => parsed,
        Err(error) => return output::usage(&error, json),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = sync_core::Error::Device {
                code: protocol::codes::Code::StoreFailed,
                message: format!("the program could not start: {error}"),
            };
            return output::failure(&run::Failure::from(error), json);
        }
    };
    match runtime.block_on(run::run(parsed)) {
        Ok(done) => output::success(&done, json),
        Err(failure) => output::failure(&failure, json),
    }
}
