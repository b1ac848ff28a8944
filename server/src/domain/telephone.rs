//! Reports by telephone: what a caller says, entered by whoever listens and signed by
//! the server for them. The words are disclosures, as a phone's are. Later such a report
//! may be merged into the one that tells the same: it stays, and is not counted twice.

use protocol::{
    codes::Code,
    entry::{Caller, Kind, Patch, Place, Read, ReportFields, SdJwt, Severity},
    ids::{AccreditationId, SubjectId, UserId},
    limits,
};
use serde_json::{Map, Value, json};
use uuid::{Uuid, Version};

use super::{
    acts::{Act, MissionRef, Office, report_row, stale},
    flags, text, words,
};
use crate::{
    error::{Error, Result},
    store::{
        Conn, bulk,
        devices::{self, read_id},
        ledger, projections,
        projections::ReportRow,
        registers, telephone as store,
    },
};

/// The member that says who a citizen is and how to reach them. Only reviewers read it.
pub const CONTACT: &str = "contact";

/// Who calls.
#[derive(Clone, Debug)]
pub enum From {
    /// An observer, by the number of the accreditation.
    Observer(String),
    /// Anybody else.
    Citizen,
}

/// What the caller says.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// Code of the mission's taxonomy.
    pub category: String,
    /// The category's, if there is none; in a correction: as it was.
    pub severity: Option<Severity>,
    /// The words.
    pub text: String,
    /// Station code, as the caller gives it.
    pub station: Option<String>,
    /// Where.
    pub place: Option<Place>,
    /// When it happened: RFC 3339.
    pub observed_at: Option<String>,
    /// Who a citizen is, in their own words, and how to reach them.
    pub contact: Option<String>,
}

/// A report about to be entered.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The report's id, made at the desk: sent twice, it is entered once.
    pub id: Uuid,
    /// Who calls.
    pub from: From,
    /// What they say.
    pub telling: Telling,
}

/// How a report by telephone stands after an act on it.
#[derive(Clone, Copy, Debug)]
pub struct Stands {
    /// Which.
    pub report: Uuid,
    /// Ledger number of its first entry.
    pub number: i64,
    /// Its version now.
    pub version: i64,
    /// Whether the act added an entry; if not, it had been done already.
    pub fresh: bool,
}

impl Stands {
    fn unchanged(row: &ReportRow) -> Result<Self> {
        Ok(Self {
            report: read_id(&row.id)?,
            number: row.first_number,
            version: row.version,
            fresh: false,
        })
    }
}

/// Enters a report.
///
/// # Errors
/// `invalid_value`, `value_missing`, `too_long`; `accreditation_unknown`,
/// `accreditation_revoked`; `report_id_taken` if the id is another report's.
pub fn enter(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    wish: Wish,
) -> Result<Stands> {
    ledger::lock_head(conn, mission.no)?;
    if wish.id.get_version() != Some(Version::Random) {
        return Err(invalid("`id` is a random UUID (version 4)"));
    }
    let caller = caller(conn, mission, &wish.from)?;
    let telling = wish.telling.checked(&caller)?;
    let act = filing(wish.id, caller, telling);
    if let Some(stands) = entered_already(conn, mission, wish.id, &act)? {
        return Ok(stands);
    }
    if let Some(accreditation) = caller.accreditation() {
        let id = accreditation.0.as_bytes();
        if projections::is_accreditation_revoked(conn, mission.no, id)? {
            return Err(Error::refused(
                Code::AccreditationRevoked,
                "enter it as a citizen's: the accreditation has been revoked",
            ));
        }
    }
    known_category(conn, mission, &act)?;
    let (number, _) = act.append(conn, office, mission, actor)?;
    Ok(Stands {
        report: wish.id,
        number,
        version: number,
        fresh: true,
    })
}

/// Corrects what was misheard: the report is to say this. What it says already is not
/// entered again.
///
/// # Errors
/// `report_unknown`, `not_by_telephone`, `report_merged`, `already_done` once erased,
/// `stale_decision`; as [`enter`] for what it says.
pub fn correct(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    (report, version): (Uuid, i64),
    telling: Telling,
) -> Result<Stands> {
    let row = locked(conn, mission, report)?;
    if row.erased {
        return Err(Error::refused(Code::AlreadyDone, "its words were erased"));
    }
    let caller = match row.accreditation.as_deref() {
        Some(id) => Caller::Observer {
            accreditation: AccreditationId(read_id(id)?),
        },
        None => Caller::Citizen {},
    };
    let telling = telling.checked(&caller)?;
    let contact = patch(contact(conn, mission, &row)?.as_deref(), &telling.contact);
    let mut act = Act::new(Kind::Amend, SubjectId(report));
    (act.body, act.disclosed) = difference(&row, &telling).to_body();
    match contact {
        Patch::Keep => {}
        Patch::Clear => act.disclosed.push((CONTACT, Value::Null)),
        Patch::Set(words) => act.disclosed.push((CONTACT, json!(words))),
    }
    if act.body.is_empty() && act.disclosed.is_empty() {
        return Stands::unchanged(&row);
    }
    not_merged(&row)?;
    if row.version != version {
        return Err(stale(conn, mission, &row, version)?);
    }
    known_category(conn, mission, &act)?;
    append(conn, office, mission, actor, &row, act)
}

/// Says that another report tells the same: this one counts no more beside it.
///
/// # Errors
/// `report_unknown`, `not_by_telephone`, `stale_decision`, `report_merged`,
/// `merge_not_allowed` with `why`; `too_long`.
pub fn merge(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    (report, version): (Uuid, i64),
    into: Uuid,
    reason: Option<String>,
) -> Result<Stands> {
    let row = locked(conn, mission, report)?;
    if row.merged_into.as_deref() == Some(into.as_bytes()) {
        return Stands::unchanged(&row);
    }
    not_merged(&row)?;
    if row.version != version {
        return Err(stale(conn, mission, &row, version)?);
    }
    if let Some(why) = hindrance(conn, mission, &row, into)? {
        return Err(Error::refused(Code::MergeNotAllowed, "").with("why", why));
    }
    let mut act = Act::new(Kind::Merge, SubjectId(report));
    act.clear("into", &into.to_string());
    act.disclose("reason", words::optional(reason.as_deref())?);
    append(conn, office, mission, actor, &row, act)
}

/// Takes a merging back.
///
/// # Errors
/// `report_unknown`, `not_by_telephone`, `already_done` if it is merged into none,
/// `stale_decision`, `too_long`.
pub fn unmerge(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    (report, version): (Uuid, i64),
    reason: Option<String>,
) -> Result<Stands> {
    let row = locked(conn, mission, report)?;
    let Some(from) = row.merged_into.as_deref() else {
        return Err(Error::refused(Code::AlreadyDone, "it is merged into none"));
    };
    if row.version != version {
        return Err(stale(conn, mission, &row, version)?);
    }
    let mut act = Act::new(Kind::Unmerge, SubjectId(report));
    act.clear("from", &read_id(from)?.to_string());
    act.disclose("reason", words::optional(reason.as_deref())?);
    append(conn, office, mission, actor, &row, act)
}

/// Refuses what a merged report takes no more: it is decided on where it was merged into.
///
/// # Errors
/// `report_merged` with `merged_into`.
pub fn not_merged(row: &ReportRow) -> Result<()> {
    let Some(into) = row.merged_into.as_deref() else {
        return Ok(());
    };
    let into = read_id(into)?;
    Err(Error::refused(Code::ReportMerged, "").with("merged_into", json!(into)))
}

/// An entry as those read it who review nothing, and as exports without names hold it.
/// It still verifies.
#[must_use]
pub fn without_contact(entry: &SdJwt) -> SdJwt {
    entry.withhold(|name| name != CONTACT)
}

/// A report by telephone, under the ledger's lock.
fn locked(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<ReportRow> {
    ledger::lock_head(conn, mission.no)?;
    let row = report_row(conn, mission, report)?;
    if row.entered_by.is_none() {
        return Err(Error::refused(Code::NotByTelephone, ""));
    }
    Ok(row)
}

fn append(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    row: &ReportRow,
    mut act: Act,
) -> Result<Stands> {
    act.written_on(row)?;
    let (version, _) = act.append(conn, office, mission, actor)?;
    Ok(Stands {
        version,
        fresh: true,
        ..Stands::unchanged(row)?
    })
}

/// The ledger names an observer by the accreditation's random id.
fn caller(conn: &mut Conn, mission: MissionRef, from: &From) -> Result<Caller> {
    let From::Observer(number) = from else {
        return Ok(Caller::Citizen {});
    };
    let unknown = || Error::refused(Code::AccreditationUnknown, "");
    if number.contains('\0') {
        return Err(unknown());
    }
    let row = devices::accreditation_by_number(conn, mission.no, number)?.ok_or_else(unknown)?;
    Ok(Caller::Observer {
        accreditation: AccreditationId(read_id(&row.id)?),
    })
}

fn filing(id: Uuid, caller: Caller, telling: Telling) -> Act {
    let mut act = Act::new(Kind::File, SubjectId(id));
    let fields = ReportFields {
        category: Some(telling.category),
        severity: telling.severity,
        text: Patch::Set(telling.text),
        station: telling.station.into(),
        place: telling.place.into(),
        observed_at: telling.observed_at.into(),
    };
    (act.body, act.disclosed) = fields.to_body();
    act.body.insert("caller".into(), json!(caller));
    act.disclose(CONTACT, telling.contact);
    act
}

/// Whether the id is there already: of this very report, sent again, or of another.
fn entered_already(
    conn: &mut Conn,
    mission: MissionRef,
    id: Uuid,
    act: &Act,
) -> Result<Option<Stands>> {
    let entries = ledger::of_subject(conn, mission.no, id.as_bytes())?;
    if entries.is_empty() {
        return Ok(None);
    }
    let taken = || Error::refused(Code::ReportIdTaken, "");
    let row = bulk::reports_by_id(conn, mission.no, &[id.as_bytes().to_vec()])?.pop();
    let row = row.ok_or_else(taken)?;
    let first = entries
        .iter()
        .find(|entry| entry.number == row.first_number)
        .ok_or_else(|| Error::Internal("a report without its first entry".into()))?;
    let said = super::ledger::read_row(first)?;
    if row.entered_by.is_some() && says(&said, act)? {
        return Stands::unchanged(&row).map(Some);
    }
    Err(taken().with("number", row.first_number))
}

/// Whether an entry says what an act is to say, as far as an erasure left its words.
fn says(read: &Read, act: &Act) -> Result<bool> {
    let mut wanted = act.body.clone();
    for (name, value) in &act.disclosed {
        wanted.insert((*name).to_owned(), value.clone());
    }
    // Numbers as they read back.
    let text = serde_json::to_string(&wanted);
    let wanted: Map<String, Value> = text
        .and_then(|text| serde_json::from_str(&text))
        .map_err(|error| Error::Internal(error.to_string()))?;
    let complete = read.withheld > 0 || wanted.len() == read.body.len();
    let same = |(name, value): (&String, &Value)| wanted.get(name) == Some(value);
    Ok(complete && read.body.iter().all(same))
}

fn known_category(conn: &mut Conn, mission: MissionRef, act: &Act) -> Result<()> {
    let Some(code) = act.body.get("category").and_then(Value::as_str) else {
        return Ok(());
    };
    let known = registers::categories(conn, mission.no)?;
    if known.is_empty() || known.contains_key(code) {
        return Ok(());
    }
    Err(invalid("`category` is not in the mission's list"))
}

impl Telling {
    /// Without blanks around it, and within bounds.
    fn checked(self, caller: &Caller) -> Result<Self> {
        let category = short("category", Some(self.category))?;
        let contact = words::optional(self.contact.as_deref())?;
        if contact.is_some() && caller.accreditation().is_some() {
            return Err(invalid(
                "`contact` is for citizens: observers are registered",
            ));
        }
        if self.place.as_ref().is_some_and(|place| !place.is_valid()) {
            return Err(invalid("`place` is not on the globe"));
        }
        let observed_at = short("observed_at", self.observed_at)?;
        if observed_at
            .as_deref()
            .is_some_and(|time| flags::claimed(time).is_none())
        {
            return Err(invalid("`observed_at` is a time as in RFC 3339"));
        }
        Ok(Self {
            category: category.ok_or_else(|| missing("category"))?,
            text: words::optional(Some(&self.text))?.ok_or_else(|| missing("text"))?,
            station: short("station", self.station)?,
            observed_at,
            contact,
            ..self
        })
    }
}

fn short(name: &str, text: Option<String>) -> Result<Option<String>> {
    let text = words::optional(text.as_deref())?;
    if text
        .as_ref()
        .is_some_and(|text| text.len() > limits::CODE_BYTES)
    {
        let why = format!("{name}: at most {} bytes", limits::CODE_BYTES);
        return Err(Error::refused(Code::TooLong, why));
    }
    Ok(text)
}

fn invalid(why: &str) -> Error {
    Error::refused(Code::InvalidValue, why)
}

fn missing(name: &str) -> Error {
    Error::refused(Code::ValueMissing, format!("`{name}` is empty"))
}

/// What a correction changes.
fn difference(row: &ReportRow, telling: &Telling) -> ReportFields {
    let place = row.lat.zip(row.lon).map(|(lat, lon)| Place {
        lat,
        lon,
        accuracy: row.accuracy,
    });
    let observed_at = telling.observed_at.as_deref().and_then(flags::claimed);
    let severity = telling
        .severity
        .filter(|severity| row.severity.as_deref() != Some(severity.name()));
    ReportFields {
        category: (row.category != telling.category).then(|| telling.category.clone()),
        severity,
        text: patch(row.text.as_deref(), &Some(telling.text.clone())),
        station: patch(row.station.as_deref(), &telling.station),
        place: match telling.place {
            to if to == place => Patch::Keep,
            Some(to) => Patch::Set(to),
            None => Patch::Clear,
        },
        observed_at: match &telling.observed_at {
            _ if observed_at == row.observed_at => Patch::Keep,
            Some(to) => Patch::Set(to.clone()),
            None => Patch::Clear,
        },
    }
}

/// From what a projection holds to what it is to hold.
fn patch(now: Option<&str>, to: &Option<String>) -> Patch<String> {
    match to {
        Some(to) if now == Some(text::clean(to.clone()).as_str()) => Patch::Keep,
        Some(to) => Patch::Set(to.clone()),
        None if now.is_none() => Patch::Keep,
        None => Patch::Clear,
    }
}

/// What the ledger says last of how to reach a citizen.
fn contact(conn: &mut Conn, mission: MissionRef, row: &ReportRow) -> Result<Option<String>> {
    let mut last = None;
    for entry in ledger::of_subject(conn, mission.no, &row.id)? {
        if entry.standing != "applied" || entry.device.is_some() {
            continue;
        }
        if let Some(said) = super::ledger::read_row(&entry)?.body.get(CONTACT) {
            last = said.as_str().map(|words| text::clean(words.to_owned()));
        }
    }
    Ok(last)
}

/// Why a report cannot be merged into another.
fn hindrance(
    conn: &mut Conn,
    mission: MissionRef,
    row: &ReportRow,
    into: Uuid,
) -> Result<Option<&'static str>> {
    if row.id == into.as_bytes() {
        return Ok(Some("itself"));
    }
    let target = bulk::reports_by_id(conn, mission.no, &[into.as_bytes().to_vec()])?.pop();
    Ok(match target {
        None => Some("unknown"),
        // One step, and never a circle: who follows the link arrives.
        Some(target) if target.merged_into.is_some() => Some("target_merged"),
        Some(_) if !store::merged(conn, mission.no, std::slice::from_ref(&row.id))?.is_empty() => {
            Some("holds_others")
        }
        Some(_) => None,
    })
}
