//! What projecting takes from a mission's registers. Kept from one commit to the
//! next, because only an import changes them.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::{acts::MissionRef, flags::Stations},
    error::Result,
    store::{
        Conn,
        projections::{self, ReportRow},
    },
};

/// Codes remembered at most: reports may name any.
const REMEMBERED: usize = 50_000;

/// Stations and default severities, as far as they have been asked for.
#[derive(Debug)]
pub struct Registers {
    mission: MissionRef,
    versions: BTreeMap<String, i64>,
    stations: Stations,
    severities: HashMap<String, Option<String>>,
}

impl Registers {
    /// The ones kept, unless an import has changed the registers since.
    pub(super) fn current(
        conn: &mut Conn,
        mission: MissionRef,
        kept: Option<Self>,
    ) -> Result<Self> {
        let versions = projections::register_versions(conn, mission.no)?;
        let usable = |kept: &Self| {
            kept.mission == mission
                && kept.versions == versions
                && kept.stations.remembered() + kept.severities.len() <= REMEMBERED
        };
        match kept.filter(usable) {
            Some(kept) => Ok(kept),
            None => Ok(Self {
                mission,
                versions,
                stations: Stations::load(conn, mission.no)?,
                severities: HashMap::new(),
            }),
        }
    }

    /// Looks stations up that have not been looked up yet.
    pub(super) fn fetch_stations<'a>(
        &mut self,
        conn: &mut Conn,
        codes: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        self.stations.fetch(conn, codes)
    }

    /// Looks categories up that have not been looked up yet.
    pub(super) fn fetch_severities<'a>(
        &mut self,
        conn: &mut Conn,
        codes: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        // PostgreSQL's text holds no U+0000, so no category has it in its code.
        let mut missing: Vec<&str> = codes
            .into_iter()
            .filter(|code| !self.severities.contains_key(*code) && !code.contains('\0'))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        self.severities.extend(projections::default_severities(
            conn,
            self.mission.no,
            &missing,
        )?);
        for code in missing {
            self.severities.entry(code.to_owned()).or_insert(None);
        }
        Ok(())
    }

    /// A category's default severity.
    pub(super) fn severity(&mut self, conn: &mut Conn, category: &str) -> Result<Option<String>> {
        self.fetch_severities(conn, [category])?;
        Ok(self.severities.get(category).cloned().flatten())
    }

    /// Sets what follows from a report's station and place.
    pub(super) fn place(&mut self, conn: &mut Conn, report: &mut ReportRow) -> Result<()> {
        self.stations.fetch(conn, report.station.as_deref())?;
        self.stations.place(report);
        Ok(())
    }
}
