//! What an entry does to the projections: a function of the ledger's order and
//! the registers, so that a rebuild arrives at the same tables.

use std::collections::{BTreeMap, HashMap, HashSet};

use protocol::{
    codes::Code,
    entry::{Attach, Caller, CheckIn, FileRef, Kind, Message, Move, Read, ReportFields},
    ids::EntryHash,
    jose::Jwk,
    planted::{Fault, is as planted},
};
use serde::Deserialize as _;
use serde_json::Value;
use uuid::Uuid;

use super::{
    append::{Origin, hash_of, uuid_of},
    late::{parse_row, standing_of},
    registers::Registers,
};
use crate::{
    domain::{acts::MissionRef, cases, flags, messages, status, text, triage},
    error::{Error, Result},
    store::{
        Conn, bulk,
        evidence::{self, AnnouncedRow, Announcement},
        ledger,
        projections::{self, CheckInRow, NewDevice, ReportRow},
        search,
    },
};

/// One entry's circumstances.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Its own ledger number.
    pub(crate) number: i64,
    /// Its name.
    pub(crate) hash: EntryHash,
    /// Who signed it.
    pub(crate) origin: Origin,
    /// When it came.
    pub(crate) received_at: i64,
    /// The number of the entry that makes it count: its own, or that of the
    /// base or the admission it waited for.
    pub(crate) processed: i64,
    /// When that came.
    pub(crate) processed_at: i64,
    /// How far the sender's clock was off.
    pub(crate) clock_skew: Option<i64>,
    /// How its base stands.
    pub(crate) base: Base,
}

/// How the entry stands on which another was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// There is none, or it has not come.
    Absent,
    /// It waits itself.
    Held,
    /// It counts.
    Applied,
    /// It is in quarantine.
    SetAside,
}

impl Base {
    pub(crate) fn of(standing: &str) -> Self {
        match standing {
            "applied" => Self::Applied,
            "held" => Self::Held,
            _ => Self::SetAside,
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Applied,
    Held,
    Quarantined(Code),
}

/// Applies entries to the reports of one mission.
#[derive(Debug)]
pub struct Projector {
    pub(super) mission: MissionRef,
    registers: Registers,
    reports: HashMap<Uuid, State>,
    check_ins: Vec<CheckInRow>,
    /// What attach entries announce, by their numbers.
    announcements: BTreeMap<i64, Announcement>,
    journals: HashSet<Uuid>,
    /// How many entries of the ledger wait for their base.
    pub(super) held: i64,
    /// For which entries of the running batch others wait.
    awaited: HashSet<EntryHash>,
}

#[derive(Debug)]
struct State {
    row: ReportRow,
    stored: bool,
    changed: bool,
}

impl Projector {
    /// Begins with no report loaded. `kept` may have served a batch before;
    /// `held` is how many entries of the ledger wait.
    ///
    /// # Errors
    /// The database's.
    pub fn load(
        conn: &mut Conn,
        mission: MissionRef,
        kept: Option<Registers>,
        held: i64,
    ) -> Result<Self> {
        Ok(Self {
            mission,
            registers: Registers::current(conn, mission, kept)?,
            reports: HashMap::new(),
            check_ins: Vec::new(),
            announcements: BTreeMap::new(),
            journals: HashSet::new(),
            held,
            awaited: HashSet::new(),
        })
    }

    /// Looks up for which of these entries others wait, and what the registers
    /// say of these stations and categories: all at once, not one by one.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn prepare<'a>(
        &mut self,
        conn: &mut Conn,
        hashes: &[Vec<u8>],
        stations: impl IntoIterator<Item = &'a str>,
        categories: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        if self.held > 0 {
            let awaited = bulk::awaited(conn, self.mission.no, hashes)?;
            for base in awaited.iter().flatten() {
                self.awaited.insert(hash_of(base)?);
            }
        }
        self.registers.fetch_stations(conn, stations)?;
        self.registers.fetch_severities(conn, categories)
    }

    /// Whether entries wait for this one of the running batch.
    pub(super) fn is_awaited(&self, hash: &EntryHash) -> bool {
        self.held > 0 && self.awaited.contains(hash)
    }

    /// The registers, for the next batch, and how many entries wait.
    #[must_use]
    pub fn into_parts(self) -> (Registers, i64) {
        (self.registers, self.held)
    }

    /// Loads reports that are not loaded yet.
    ///
    /// # Errors
    /// The database's.
    pub fn fetch(&mut self, conn: &mut Conn, subjects: &[Uuid]) -> Result<()> {
        let missing: Vec<Vec<u8>> = subjects
            .iter()
            .filter(|id| !self.reports.contains_key(id))
            .map(|id| id.as_bytes().to_vec())
            .collect();
        for row in bulk::reports_by_id(conn, self.mission.no, &missing)? {
            if let Some(id) = uuid_of(&row.id) {
                self.reports.insert(
                    id,
                    State {
                        row,
                        stored: true,
                        changed: false,
                    },
                );
            }
        }
        Ok(())
    }

    /// A report as it stands now, if it was loaded.
    #[must_use]
    pub fn report(&self, id: Uuid) -> Option<&ReportRow> {
        self.reports.get(&id).map(|state| &state.row)
    }

    /// Applies one entry.
    pub(crate) fn apply(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
    ) -> Result<Effect> {
        let id = read.payload.subject.0;
        self.journals
            .extend(read.payload.journal.map(|journal| journal.0));
        match (&read.payload.kind, entry.origin) {
            (
                Kind::File,
                Origin::Device {
                    device,
                    accreditation,
                },
            ) => self.file(conn, entry, read, id, Filer::phone(device, accreditation)),
            (Kind::File, Origin::Office(actor)) => match Caller::from_body(&read.body) {
                Ok(caller) => self.file(conn, entry, read, id, Filer::desk(actor, caller)),
                Err(_) => Ok(Effect::Quarantined(Code::Unreadable)),
            },
            (Kind::Amend, Origin::Office(_)) => self.correct(conn, entry, read, id),
            (Kind::Merge | Kind::Unmerge, Origin::Office(_)) => self.merge(conn, entry, read, id),
            (
                Kind::Amend | Kind::Withdraw | Kind::Answer,
                Origin::Device {
                    device,
                    accreditation,
                },
            ) => self.revise(conn, entry, read, id, device, accreditation),
            (
                Kind::Attach,
                Origin::Device {
                    device,
                    accreditation,
                },
            ) => {
                let effect = self.revise(conn, entry, read, id, device, accreditation)?;
                self.announce(entry, accreditation, read, effect);
                Ok(effect)
            }
            (
                Kind::CheckIn,
                Origin::Device {
                    device,
                    accreditation,
                },
            ) => Ok(self.check_in(entry, read, device, accreditation)),
            (Kind::Decide, Origin::Office(_)) => self.decide(conn, entry, read, id),
            (Kind::Admit, Origin::Office(_)) => self.admit(conn, entry, read),
            (Kind::Enrol, Origin::Office(_)) => self.enrol(conn, entry, read),
            (Kind::RevokeDevice, Origin::Office(_)) => {
                let device = body_uuid(read, "device")?;
                projections::revoke_device(conn, self.mission.no, device.as_bytes(), entry.number)?;
                Ok(Effect::Applied)
            }
            (Kind::RevokeAccreditation, Origin::Office(_)) => {
                let accreditation = body_uuid(read, "accreditation")?;
                projections::revoke_accreditation(
                    conn,
                    self.mission.no,
                    accreditation.as_bytes(),
                    entry.number,
                )?;
                Ok(Effect::Applied)
            }
            (Kind::Erase, Origin::Office(_)) => self.erase(conn, entry, id),
            (Kind::Message, Origin::Office(_)) => {
                let Ok(message) = Message::from_body(&read.body) else {
                    return Ok(Effect::Quarantined(Code::Unreadable));
                };
                let audience = &message.audience;
                messages::deliver(conn, self.mission, entry.number, &entry.hash, audience)?;
                Ok(Effect::Applied)
            }
            (Kind::Assign | Kind::Prioritise | Kind::Note, Origin::Office(_)) => {
                let place = (entry.number, entry.received_at);
                if triage::project(conn, self.mission, place, read)? {
                    Ok(Effect::Applied)
                } else {
                    Ok(Effect::Quarantined(Code::Unreadable))
                }
            }
            (Kind::Join | Kind::Part | Kind::KeepApart, Origin::Office(_)) => {
                if cases::project(conn, self.mission, entry.number, read)? {
                    Ok(Effect::Applied)
                } else {
                    Ok(Effect::Quarantined(Code::Unreadable))
                }
            }
            _ => Ok(Effect::Quarantined(Code::UnknownVersion)),
        }
    }

    fn file(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
        id: Uuid,
        filer: Filer,
    ) -> Result<Effect> {
        if self.reports.contains_key(&id) {
            return Ok(Effect::Quarantined(Code::SubjectConflict));
        }
        let (Ok(fields), Some(category)) = (ReportFields::from_body(&read.body), category(read))
        else {
            return Ok(Effect::Quarantined(Code::Unreadable));
        };
        let mut row = ReportRow {
            mission: self.mission.no,
            first_number: entry.number,
            id: id.as_bytes().to_vec(),
            version: entry.processed,
            head: entry.hash.0.to_vec(),
            revisions: 0,
            accreditation: filer.accreditation.map(bytes),
            device: filer.device.map(bytes),
            category,
            severity: None,
            own_severity: false,
            text: None,
            folded: None,
            station: None,
            constituency: None,
            lat: None,
            lon: None,
            accuracy: None,
            observed_at: None,
            filed_at: read.at.as_ref().and_then(|at| flags::claimed(&at.wall)),
            received_at: entry.received_at,
            updated_at: entry.processed_at,
            status: status::RECEIVED.into(),
            withdrawn: false,
            erased: false,
            flags: filer.entered_by.map_or(0, |_| flags::BY_TELEPHONE),
            entered_by: filer.entered_by.map(bytes),
            merged_into: None,
        };
        self.write(conn, &mut row, entry, read, fields)?;
        self.reports.insert(
            id,
            State {
                row,
                stored: false,
                changed: false,
            },
        );
        Ok(Effect::Applied)
    }

    fn revise(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
        id: Uuid,
        device: Uuid,
        accreditation: Uuid,
    ) -> Result<Effect> {
        if entry.base != Base::Applied {
            return Ok(Effect::Held);
        }
        let Some(mut row) = self.reports.get(&id).map(|state| state.row.clone()) else {
            return Ok(Effect::Quarantined(Code::ForeignSubject));
        };
        // A report by telephone is corrected at a desk: no phone has its words.
        if row.device.is_none() || row.accreditation.as_deref() != Some(accreditation.as_bytes()) {
            return Ok(Effect::Quarantined(Code::ForeignSubject));
        }
        match read.payload.kind {
            Kind::Amend => {
                let Ok(fields) = ReportFields::from_body(&read.body) else {
                    return Ok(Effect::Quarantined(Code::Unreadable));
                };
                self.write(conn, &mut row, entry, read, fields)?;
                if planted(Fault::AmendResetsStatus) {
                    row.status = status::RECEIVED.into();
                }
                reopen(&mut row);
            }
            Kind::Withdraw => {
                row.withdrawn = true;
                reopen(&mut row);
            }
            // A file added later says nothing new about what was decided.
            Kind::Attach if Attach::from_body(&read.body).is_err() => {
                return Ok(Effect::Quarantined(Code::Unreadable));
            }
            Kind::Attach => {}
            _ if row.status == status::NEEDS_INFO => row.flags |= flags::ANSWERED,
            _ => {}
        }
        if row.device.as_deref() != Some(device.as_bytes()) {
            row.flags |= flags::TWO_DEVICES;
        }
        touch(&mut row, entry);
        row.revisions = row.revisions.saturating_add(1);
        self.set(id, row);
        Ok(Effect::Applied)
    }

    /// Writes the fields of a `file` or an `amend` onto a report.
    fn write(
        &mut self,
        conn: &mut Conn,
        row: &mut ReportRow,
        entry: &Subject,
        read: &Read,
        fields: ReportFields,
    ) -> Result<()> {
        if let Some(category) = category(read) {
            row.category = category;
        }
        if let Some(severity) = fields.severity {
            row.severity = Some(severity.name().to_owned());
            row.own_severity = true;
        } else if !row.own_severity {
            row.severity = self.registers.severity(conn, &row.category)?;
        }
        fields.text.map(text::clean).apply(&mut row.text);
        fields.station.map(text::clean).apply(&mut row.station);
        row.folded = row.text.as_deref().map(text::fold);
        match fields.place {
            protocol::entry::Patch::Keep => {}
            protocol::entry::Patch::Clear => flags::set_place(row, None),
            protocol::entry::Patch::Set(place) => flags::set_place(row, Some(place)),
        }
        let mut claims = Vec::new();
        let mut unreadable = false;
        match &fields.observed_at {
            protocol::entry::Patch::Keep => {}
            protocol::entry::Patch::Clear => row.observed_at = None,
            protocol::entry::Patch::Set(claim) => {
                row.observed_at = flags::claimed(claim);
                unreadable |= row.observed_at.is_none();
                claims.push(row.observed_at);
            }
        }
        if let Some(at) = &read.at {
            let wall = flags::claimed(&at.wall);
            unreadable |= wall.is_none();
            claims.push(wall);
        }
        if unreadable || flags::is_clock_off(entry.clock_skew, &claims, entry.received_at) {
            row.flags |= flags::CLOCK_OFF;
        }
        self.registers.place(conn, row)
    }

    fn check_in(
        &mut self,
        entry: &Subject,
        read: &Read,
        device: Uuid,
        accreditation: Uuid,
    ) -> Effect {
        let Ok(check_in) = CheckIn::from_body(&read.body) else {
            return Effect::Quarantined(Code::Unreadable);
        };
        self.check_ins.push(CheckInRow {
            mission: self.mission.no,
            number: entry.number,
            accreditation: accreditation.as_bytes().to_vec(),
            device: device.as_bytes().to_vec(),
            station: text::clean(check_in.station),
            event: match check_in.event {
                Move::Arrived => "arrived".into(),
                Move::Left => "left".into(),
            },
            at: read.at.as_ref().and_then(|at| flags::claimed(&at.wall)),
            received_at: entry.received_at,
        });
        Effect::Applied
    }

    /// Notes the files of an attach entry with the standing that it got.
    fn announce(&mut self, entry: &Subject, accreditation: Uuid, read: &Read, effect: Effect) {
        let standing = standing_of(effect);
        // Its report was erased meanwhile, and took its files with it.
        let erased = read.withheld > 0 && standing != "quarantined";
        let rows = if erased {
            Vec::new()
        } else {
            announced(self.mission.no, entry.number, accreditation, read, standing)
        };
        let late = entry.processed != entry.number;
        self.announcements
            .insert(entry.number, Announcement { rows, late });
    }

    /// Notes the files of an entry that was quarantined before it could count, so
    /// that their phone learns what they wait for.
    pub(super) fn announce_waiting(&mut self, number: i64, accreditation: Uuid, read: &Read) {
        if read.payload.kind == Kind::Attach {
            let rows = announced(self.mission.no, number, accreditation, read, "quarantined");
            let late = false;
            self.announcements
                .insert(number, Announcement { rows, late });
        }
    }

    fn save_announcements(&mut self, conn: &mut Conn) -> Result<()> {
        let announcements = std::mem::take(&mut self.announcements);
        evidence::announce(conn, self.mission.no, announcements)
    }

    fn decide(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
        id: Uuid,
    ) -> Result<Effect> {
        self.fetch(conn, &[id])?;
        let to = read
            .body
            .get("to")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // A decision counts on the very state of the report that it was made on. One
        // made here always finds it; one handed back may come too early or too late.
        let base = read.payload.base.map(|base| base.0.to_vec());
        let row = self.reports.get(&id).map(|state| state.row.clone());
        let mut row = match row {
            Some(row) if base.as_ref() == Some(&row.head) => row,
            _ if matches!(entry.base, Base::Applied | Base::SetAside) || base.is_none() => {
                return Ok(Effect::Quarantined(Code::Overtaken));
            }
            _ => return Ok(Effect::Held),
        };
        to.clone_into(&mut row.status);
        row.flags &= !flags::ANSWERED;
        touch(&mut row, entry);
        // No phone knows of a report by telephone.
        if let (Some(accreditation), Some(_)) = (&row.accreditation, &row.device) {
            let place = (entry.processed, entry.number);
            ledger::add_to_inbox(conn, self.mission.no, accreditation, place)?;
        }
        self.set(id, row);
        Ok(Effect::Applied)
    }

    /// A desk corrects what it heard.
    fn correct(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
        id: Uuid,
    ) -> Result<Effect> {
        let Some(mut row) = self.by_telephone(conn, read, id)? else {
            return Ok(Effect::Quarantined(Code::Overtaken));
        };
        let Ok(fields) = ReportFields::from_body(&read.body) else {
            return Ok(Effect::Quarantined(Code::Unreadable));
        };
        self.write(conn, &mut row, entry, read, fields)?;
        if row.status == status::NEEDS_INFO {
            row.flags |= flags::ANSWERED;
        }
        reopen(&mut row);
        touch(&mut row, entry);
        row.revisions = row.revisions.saturating_add(1);
        self.set(id, row);
        Ok(Effect::Applied)
    }

    /// A desk says that another report tells the same, or takes that back.
    fn merge(&mut self, conn: &mut Conn, entry: &Subject, read: &Read, id: Uuid) -> Result<Effect> {
        let Some(mut row) = self.by_telephone(conn, read, id)? else {
            return Ok(Effect::Quarantined(Code::Overtaken));
        };
        row.merged_into = match read.payload.kind {
            Kind::Merge => Some(bytes(body_uuid(read, "into")?)),
            _ => None,
        };
        touch(&mut row, entry);
        self.set(id, row);
        Ok(Effect::Applied)
    }

    /// The report by telephone that an entry is about, if it stands as the desk saw it.
    fn by_telephone(
        &mut self,
        conn: &mut Conn,
        read: &Read,
        id: Uuid,
    ) -> Result<Option<ReportRow>> {
        self.fetch(conn, &[id])?;
        let base = read.payload.base.map(|base| base.0.to_vec());
        let row = self.report(id).cloned();
        Ok(row.filter(|row| row.entered_by.is_some() && base.as_ref() == Some(&row.head)))
    }

    fn enrol(&mut self, conn: &mut Conn, entry: &Subject, read: &Read) -> Result<Effect> {
        let key = read
            .body
            .get("key")
            .and_then(|key| Jwk::deserialize(key).ok())
            .ok_or_else(|| Error::Internal("an enrolment without a key".into()))?;
        // Handed back after the key was enrolled anew.
        if projections::device_by_kid(conn, &key.thumbprint())?.is_some() {
            return Ok(Effect::Quarantined(Code::Overtaken));
        }
        projections::insert_device(
            conn,
            &NewDevice {
                mission: self.mission.no,
                id: body_uuid(read, "device")?.as_bytes().to_vec(),
                kid: key.thumbprint(),
                jwk: serde_json::to_string(&key)
                    .map_err(|error| Error::Internal(error.to_string()))?,
                accreditation: body_uuid(read, "accreditation")?.as_bytes().to_vec(),
                enrolled_number: entry.number,
                revoked_number: None,
            },
        )?;
        Ok(Effect::Applied)
    }

    /// The words go; skeleton, number, hash and chain stay.
    fn erase(&mut self, conn: &mut Conn, entry: &Subject, id: Uuid) -> Result<Effect> {
        self.fetch(conn, &[id])?;
        let Some(mut row) = self.reports.get(&id).map(|state| state.row.clone()) else {
            return Err(Error::Internal(
                "an erasure of a report that is not there".into(),
            ));
        };
        for old in ledger::of_subject(conn, self.mission.no, id.as_bytes())? {
            let sd_jwt = parse_row(&old)?;
            if old.number < entry.number && sd_jwt.disclosure_count() > 0 {
                let bare = sd_jwt.withhold(|_| false);
                ledger::set_bytes(conn, self.mission.no, old.number, bare.compact().as_bytes())?;
            }
        }
        self.save_announcements(conn)?;
        evidence::erase(conn, self.mission.no, id.as_bytes())?;
        search::forget(conn, self.mission.no, row.first_number)?;
        row.text = None;
        row.folded = None;
        row.station = None;
        row.constituency = None;
        flags::set_place(&mut row, None);
        row.observed_at = None;
        row.filed_at = None;
        row.erased = true;
        row.flags &= flags::KEPT_BY_ERASURE;
        touch(&mut row, entry);
        self.set(id, row);
        Ok(Effect::Applied)
    }

    /// Journals of which an entry was applied, late ones among them.
    pub(super) fn journals(&self) -> &HashSet<Uuid> {
        &self.journals
    }

    /// Whether a report carries a flag.
    pub(super) fn has_flag(&mut self, conn: &mut Conn, subject: Uuid, bit: i32) -> Result<bool> {
        self.fetch(conn, &[subject])?;
        Ok(self.report(subject).is_some_and(|row| row.flags & bit != 0))
    }

    /// Sets or clears a flag on reports.
    ///
    /// # Errors
    /// The database's.
    pub fn flag(&mut self, conn: &mut Conn, subjects: &[Uuid], bit: i32, on: bool) -> Result<()> {
        self.fetch(conn, subjects)?;
        for subject in subjects {
            if let Some(state) = self.reports.get_mut(subject) {
                let before = state.row.flags;
                state.row.flags = if on { before | bit } else { before & !bit };
                state.changed |= state.row.flags != before;
            }
        }
        Ok(())
    }

    fn set(&mut self, id: Uuid, row: ReportRow) {
        if let Some(state) = self.reports.get_mut(&id) {
            state.row = row;
            state.changed = true;
        }
    }

    /// One more entry waits, for this base.
    pub(crate) fn note_held(&mut self, base: Option<EntryHash>) {
        self.held += 1;
        self.awaited.extend(base);
    }

    /// Writes what changed since the last call.
    ///
    /// # Errors
    /// The database's.
    pub fn save(&mut self, conn: &mut Conn) -> Result<()> {
        let mut new: Vec<&ReportRow> = self
            .reports
            .values()
            .filter(|state| !state.stored)
            .map(|state| &state.row)
            .collect();
        new.sort_by_key(|row| row.first_number);
        bulk::insert_reports(conn, &new)?;
        let mut changed: Vec<&ReportRow> = self
            .reports
            .values()
            .filter(|state| state.stored && state.changed)
            .map(|state| &state.row)
            .collect();
        changed.sort_by_key(|row| row.first_number);
        for row in changed {
            projections::update_report(conn, row)?;
        }
        projections::insert_check_ins(conn, &self.check_ins)?;
        self.check_ins.clear();
        self.save_announcements(conn)?;
        for state in self.reports.values_mut() {
            state.stored = true;
            state.changed = false;
        }
        Ok(())
    }

    /// Forgets loaded reports, so that a long rebuild stays small.
    pub fn forget(&mut self) {
        self.reports.clear();
        self.journals.clear();
    }
}

/// Who brings a report.
struct Filer {
    accreditation: Option<Uuid>,
    device: Option<Uuid>,
    entered_by: Option<Uuid>,
}

impl Filer {
    fn phone(device: Uuid, accreditation: Uuid) -> Self {
        Self {
            accreditation: Some(accreditation),
            device: Some(device),
            entered_by: None,
        }
    }

    fn desk(actor: Uuid, caller: Caller) -> Self {
        Self {
            accreditation: caller.accreditation().map(|id| id.0),
            device: None,
            entered_by: Some(actor),
        }
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn touch(row: &mut ReportRow, entry: &Subject) {
    row.version = entry.processed;
    row.head = entry.hash.0.to_vec();
    row.updated_at = entry.processed_at;
}

/// The files that an attach entry names, as rows. Sizes beyond any file's become the
/// greatest number: such an entry waits in quarantine.
fn announced(
    mission: i32,
    number: i64,
    accreditation: Uuid,
    read: &Read,
    standing: &str,
) -> Vec<AnnouncedRow> {
    let Ok(attach) = Attach::from_body(&read.body) else {
        return Vec::new();
    };
    let row = |file: FileRef, preview| AnnouncedRow {
        mission,
        number,
        preview,
        sha256: file.sha256.0.to_vec(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        media_type: text::clean(file.media_type),
        report: read.payload.subject.0.as_bytes().to_vec(),
        accreditation: accreditation.as_bytes().to_vec(),
        taken_at: attach.taken_at.as_deref().and_then(flags::claimed),
        standing: standing.to_owned(),
    };
    let preview = attach.preview.clone().map(|preview| row(preview, true));
    std::iter::once(row(attach.file.clone(), false))
        .chain(preview)
        .collect()
}

fn reopen(row: &mut ReportRow) {
    if status::is_decided(&row.status) {
        row.status = status::REOPENED.into();
    }
}

fn category(read: &Read) -> Option<String> {
    read.body
        .get("category")
        .and_then(Value::as_str)
        .map(|category| text::clean(category.to_owned()))
}

pub(super) fn body_text<'a>(read: &'a Read, name: &str) -> Result<&'a str> {
    read.body
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Error::Internal(format!("an entry of the server's own lacks `{name}`")))
}

fn body_uuid(read: &Read, name: &str) -> Result<Uuid> {
    Uuid::parse_str(body_text(read, name)?).map_err(|error| Error::Internal(error.to_string()))
}
