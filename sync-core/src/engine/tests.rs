//! The engine through the façade, against a server in memory. (The rules of
//! waiting stand with `state`, reading foreign answers with `transport::wire`.)

mod crashes;
mod files;
mod messages;
mod outcomes;
mod reading;
mod recovery;
mod reference;
mod storms;
mod uploads;

use protocol::{
    codes::Code,
    entry::Severity,
    ids::{EntryHash, SubjectId},
};

use crate::{
    client::{Filed, NewReport, Report, SyncReport},
    testing::{World, block_on},
};

impl World {
    fn file(&self, text: &str) -> Filed {
        self.file_as("violence", None, text)
    }

    fn file_as(&self, category: &str, severity: Option<Severity>, text: &str) -> Filed {
        let new = NewReport {
            category: category.into(),
            severity,
            text: Some(text.into()),
            ..NewReport::default()
        };
        block_on(self.client.file(new)).expect("files")
    }

    fn amend(&self, report: SubjectId, text: &str) -> Filed {
        let fields = protocol::entry::ReportFields {
            text: protocol::entry::Patch::Set(text.into()),
            ..Default::default()
        };
        block_on(self.client.amend(report, fields)).expect("amends")
    }

    fn sync(&self) -> SyncReport {
        block_on(self.client.sync()).unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn sync_fails(&self) -> (Code, SyncReport) {
        let error = block_on(self.client.sync()).expect_err("fails");
        (error.error.code(), *error.report)
    }

    fn status(&self, report: SubjectId) -> &'static str {
        self.report(report).status.code()
    }

    fn report(&self, report: SubjectId) -> Report {
        block_on(self.client.report(report))
            .expect("reads")
            .expect("there")
    }

    fn paths(&self) -> Vec<String> {
        std::mem::take(&mut *self.server.calls.borrow_mut())
    }

    /// The entries of each exchange since last asked.
    fn sent(&self) -> Vec<Vec<EntryHash>> {
        let requests = std::mem::take(&mut *self.server.requests.borrow_mut());
        let hash = |wire| {
            protocol::entry::SdJwt::from_wire(wire)
                .expect("an entry")
                .hash()
        };
        requests
            .iter()
            .map(|request| request.entries.iter().map(hash).collect())
            .collect()
    }
}
