//! An S3-speaking server of the test's own: moto, from `tests/python`.

use std::process::{Child, Command, Stdio};

use crate::{http, reaper, site::Port, site::Site, wait};

/// A running one. It holds everything in memory and is killed when this is dropped.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    port: Port,
}

impl S3 {
    /// Starts one with a bucket called `evidence`.
    ///
    /// # Panics
    /// Without `SCRUTINEER_TEST_PYTHON`, or when it does not start.
    #[must_use]
    pub fn start() -> Self {
        let python = std::env::var_os("SCRUTINEER_TEST_PYTHON").expect(
            "SCRUTINEER_TEST_PYTHON is not set. It names a Python that has tests/python/requirements.txt: run `make test`",
        );
        let port = Port::free();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(port.number.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        reaper::kill_later(child.id());
        let s3 = Self { child, port };
        wait::until("the S3 server", || {
            let made = http::try_send("PUT", &format!("{}/evidence", s3.endpoint()), &[], None);
            made.ok().filter(|answer| answer.status == 200)
        });
        s3
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }

    /// Has a server keep its evidence here.
    pub fn configure(&self, site: &mut Site) {
        site.set("evidence_s3_endpoint", &self.endpoint());
        site.set("evidence_s3_bucket", "evidence");
        site.set("evidence_s3_key", "AKIATESTS");
        site.set("evidence_s3_secret", "never in a log");
    }

    /// The names of the objects below a prefix.
    #[must_use]
    pub fn list(&self, prefix: &str) -> Vec<String> {
        let url = format!("{}/evidence?list-type=2&prefix={prefix}", self.endpoint());
        let text = http::send("GET", &url, &[], None).text();
        text.split("<Key>")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()))
            .collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        reaper::ended(self.child.id());
    }
}
