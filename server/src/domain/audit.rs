//! The audit trail: who did what, when. What the office writes into the ledger stands
//! there already; everything else that a person answers for is added here, in the
//! transaction that does it. A reader gets both as one list.

use std::{collections::HashMap, io::Write};

use protocol::{entry::SdJwt, ids::UserId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{acts::MissionRef, export::push_text};
use crate::{
    clock::{Host, Micros},
    error::{Error, Result},
    store::{
        Conn,
        audit::{self as store, AuditFilter, AuditRow, Mark},
        devices,
        ledger::EntryRow,
        missions, users,
    },
};

macro_rules! acts {
    ($($variant:ident $name:literal $what:literal;)*) => {
        /// What was done, apart from entries of the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Act {
            $(#[doc = $what] $variant,)*
        }

        impl Act {
            /// Every one, with what it means.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $what),)*];

            /// The name in the database and in answers.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

acts! {
    SignIn "sign_in" "Signed in.";
    SignInFailed "sign_in_failed" "Somebody gave this account's address, and a wrong password or code.";
    SecondFactorSet "second_factor_set" "Set up a second factor.";
    SecondFactorReset "second_factor_reset" "A second factor was taken away.";
    AccountAdded "account_added" "An account was made.";
    RolesChanged "roles_changed" "Roles in the mission were given or taken.";
    PasswordSet "password_set" "Another password was set.";
    AccountDisabled "account_disabled" "An account was disabled.";
    AccountEnabled "account_enabled" "An account was enabled.";
    Import "import" "A register was imported.";
    RegisterTaken "register_taken" "A register was taken away as a file.";
    Export "export" "Reports were taken away as a file.";
    AuditTaken "audit_taken" "The audit trail was taken away as a file.";
    EnrolmentCode "enrolment_code" "An enrolment code was issued.";
    ErasureRequested "erasure_requested" "The erasure of a report was asked for.";
    MissionCreated "mission_created" "The mission was made.";
    Backup "backup" "A backup was made.";
    Restore "restore" "The server was restored from a backup.";
    Rebuild "rebuild" "The projections were rebuilt.";
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An account, over the network.
    Person(UserId),
    /// Whoever runs the server, at its command line.
    CommandLine,
    /// Somebody who did not prove who they are.
    Nobody,
}

/// One act about to be written down.
#[derive(Clone, Debug)]
pub struct Deed<'a> {
    /// Time and randomness.
    pub host: &'a Host,
    /// Who.
    pub by: By,
    /// What.
    pub act: Act,
    /// To whose account.
    pub account: Option<UserId>,
    /// More; never a secret.
    pub details: Value,
}

impl<'a> Deed<'a> {
    /// An act about no account.
    #[must_use]
    pub fn new(host: &'a Host, by: By, act: Act, details: Value) -> Self {
        Self {
            host,
            by,
            act,
            account: None,
            details,
        }
    }

    /// To an account.
    #[must_use]
    pub fn to(mut self, account: UserId) -> Self {
        self.account = Some(account);
        self
    }

    /// Writes it into one mission's trail, or the server's ([`users::SERVER`]).
    ///
    /// # Errors
    /// The database's.
    pub fn note(&self, conn: &mut Conn, mission: i32) -> Result<()> {
        let (actor, via) = match self.by {
            By::Person(user) => (Some(bytes(user)), "network"),
            By::CommandLine => (None, "command_line"),
            By::Nobody => (None, "network"),
        };
        let row = AuditRow {
            id: self.host.uuid().as_bytes().to_vec(),
            mission,
            at: self.host.now().0,
            act: self.act.name().to_owned(),
            actor,
            account: self.account.map(bytes),
            via: via.to_owned(),
            details: self.details.to_string(),
        };
        store::insert(conn, &row)
    }

    /// Writes it into the trail of every mission in which its account has a role: what
    /// is done to an account concerns each.
    ///
    /// # Errors
    /// The database's.
    pub fn note_for_account(&self, conn: &mut Conn) -> Result<()> {
        let roles = self
            .account
            .map(|account| users::roles(conn, account))
            .transpose()?;
        let mut missions: Vec<i32> = roles.into_iter().flatten().map(|(no, _)| no).collect();
        missions.dedup();
        if missions.is_empty() {
            missions.push(users::SERVER);
        }
        missions.into_iter().try_for_each(|no| self.note(conn, no))
    }

    /// Writes it into every mission's trail and the server's.
    ///
    /// # Errors
    /// The database's.
    pub fn note_everywhere(&self, conn: &mut Conn) -> Result<()> {
        self.note(conn, users::SERVER)?;
        missions::list(conn)?
            .iter()
            .try_for_each(|mission| self.note(conn, mission.reference.no))
    }
}

fn bytes(user: UserId) -> Vec<u8> {
    user.0.as_bytes().to_vec()
}

/// An act as readers see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AuditItem {
    /// When, RFC 3339.
    pub at: String,
    /// What: an act, or the kind of an entry.
    pub act: String,
    /// Its ledger number, if it is an entry.
    pub number: Option<i64>,
    /// The account that acted; `null`: whoever runs the server, or somebody who did not
    /// prove who they are, or a phone that enrolled.
    pub actor: Option<Uuid>,
    /// `network` or `command_line`; entries do not say.
    pub via: Option<String>,
    /// The account that it was done to.
    pub account: Option<Uuid>,
    /// The report that it was done to.
    pub report: Option<Uuid>,
    /// More, by the act.
    pub details: Map<String, Value>,
}

/// A mission's acts, the newest first; at most `limit`, and where the next page begins.
///
/// # Errors
/// The database's.
pub fn list(
    conn: &mut Conn,
    mission: MissionRef,
    filter: &AuditFilter,
    mark: Mark,
    limit: i64,
) -> Result<(Vec<AuditItem>, Option<Mark>)> {
    let mut acts = store::page(conn, mission.no, filter, &mark, limit + 1)?
        .into_iter()
        .peekable();
    let mut entries = store::office_entries(conn, mission.no, filter, &mark, limit + 1)?
        .into_iter()
        .peekable();
    let (mut items, mut mark) = (Vec::new(), mark);
    for _ in 0..limit {
        let entry_first = match (entries.peek(), acts.peek()) {
            (Some(entry), Some(act)) => entry.received_at >= act.at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if entry_first {
            let Some(row) = entries.next() else { break };
            mark.number = Some(row.number);
            items.push(of_entry(row));
        } else {
            let Some(row) = acts.next() else { break };
            mark.act = Some((row.at, id(&row.id)?));
            items.push(of_act(row)?);
        }
    }
    name_accreditations(conn, mission, &mut items)?;
    let more = entries.peek().is_some() || acts.peek().is_some();
    Ok((items, more.then_some(mark)))
}

/// Entries name accreditations by their random ids; a reader knows their numbers.
fn name_accreditations(
    conn: &mut Conn,
    mission: MissionRef,
    items: &mut [AuditItem],
) -> Result<()> {
    for item in items {
        let named = item.details.get("accreditation").and_then(Value::as_str);
        let Some(id) = named.and_then(|id| Uuid::parse_str(id).ok()) else {
            continue;
        };
        if let Some(row) = devices::accreditation(conn, mission.no, id.as_bytes())? {
            item.details
                .insert("accreditation_number".into(), row.number.into());
        }
    }
    Ok(())
}

/// Rows of a file that are read at once.
const CHUNK: i64 = 1_000;

/// Writes a mission's acts as CSV, the newest first; answers how many.
///
/// # Errors
/// The database's, or the file's.
pub fn write_csv(
    conn: &mut Conn,
    mission: MissionRef,
    filter: &AuditFilter,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut put = |text: &str| {
        out.write_all(text.as_bytes())
            .map_err(|error| Error::Io("the audit trail".into(), error))
    };
    put("\u{feff}at,act,number,actor,actor_email,via,account,account_email,report,details\r\n")?;
    let mut emails: HashMap<Uuid, String> = HashMap::new();
    let (mut mark, mut rows) = (Some(Mark::default()), 0);
    while let Some(from) = mark {
        let (items, next) = list(conn, mission, filter, from, CHUNK)?;
        mark = next;
        let unknown: Vec<Uuid> = items
            .iter()
            .flat_map(AuditItem::accounts)
            .filter(|id| !emails.contains_key(id))
            .collect();
        emails.extend(people(conn, &unknown)?);
        for item in &items {
            put(&item.csv(&emails))?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// The addresses of accounts.
///
/// # Errors
/// The database's.
pub fn people(conn: &mut Conn, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    let mut ids: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for some in ids.chunks(500) {
        for (user, email) in users::emails(conn, some)? {
            found.push((id(&user)?, email));
        }
    }
    Ok(found)
}

impl AuditItem {
    /// The accounts that it names.
    pub fn accounts(&self) -> impl Iterator<Item = Uuid> {
        self.actor.into_iter().chain(self.account)
    }

    fn csv(&self, emails: &HashMap<Uuid, String>) -> String {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let email = |id: Option<Uuid>| {
            id.and_then(|id| emails.get(&id).cloned())
                .unwrap_or_default()
        };
        let number = self.number.map(|number| number.to_string());
        let cells = [
            self.at.clone(),
            self.act.clone(),
            number.unwrap_or_default(),
            id(self.actor),
            email(self.actor),
            self.via.clone().unwrap_or_default(),
            id(self.account),
            email(self.account),
            id(self.report),
            Value::Object(self.details.clone()).to_string(),
        ];
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            push_text(&mut line, cell);
        }
        line + "\r\n"
    }
}

fn id(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| Error::Internal("an id in the audit trail".into()))
}

fn of_act(row: AuditRow) -> Result<AuditItem> {
    let details = serde_json::from_str(&row.details).unwrap_or_default();
    Ok(AuditItem {
        at: Micros(row.at).rfc3339(),
        act: row.act,
        number: None,
        actor: row.actor.as_deref().map(id).transpose()?,
        via: Some(row.via),
        account: row.account.as_deref().map(id).transpose()?,
        report: report_of(&details),
        details,
    })
}

/// Acts about a report name it.
fn report_of(details: &Map<String, Value>) -> Option<Uuid> {
    details.get("report")?.as_str()?.parse().ok()
}

fn of_entry(row: EntryRow) -> AuditItem {
    let read = str::from_utf8(&row.sd_jwt)
        .ok()
        .and_then(|compact| SdJwt::parse(compact).ok())
        .and_then(|entry| entry.read().ok());
    let mut details = read.map(|read| read.body).unwrap_or_default();
    // A phone's key says nothing to a person.
    details.remove("key");
    let subject = row
        .subject
        .as_deref()
        .and_then(|id| Uuid::from_slice(id).ok());
    let about_report = ["decide", "assign", "prioritise", "note", "erase"];
    let actor = row
        .actor
        .as_deref()
        .and_then(|id| Uuid::from_slice(id).ok());
    AuditItem {
        at: Micros(row.received_at).rfc3339(),
        number: Some(row.number),
        // A phone enrols in nobody's name.
        actor: actor.filter(|id| !id.is_nil()),
        via: None,
        account: None,
        report: subject.filter(|_| about_report.contains(&row.kind.as_str())),
        act: row.kind,
        details,
    }
}

/// Notes that somebody signed in.
///
/// # Errors
/// The database's.
pub fn signed_in(
    conn: &mut Conn,
    host: &Host,
    user: UserId,
    mission: i32,
    proven: bool,
) -> Result<()> {
    let details = json!({ "second_factor": proven });
    Deed::new(host, By::Person(user), Act::SignIn, details)
        .to(user)
        .note(conn, mission)
}

/// Notes that somebody gave an account's address and not what belongs to it. What an
/// unknown address was tried with is not kept: it might be a password in the wrong field.
///
/// # Errors
/// The database's.
pub fn sign_in_failed(conn: &mut Conn, host: &Host, user: UserId, what: &str) -> Result<()> {
    Deed::new(
        host,
        By::Nobody,
        Act::SignInFailed,
        json!({ "wrong": what }),
    )
    .to(user)
    .note_for_account(conn)
}

/// Notes that a code was issued that binds a phone; not the code.
///
/// # Errors
/// The database's.
pub fn code_issued(
    conn: &mut Conn,
    host: &Host,
    by: By,
    mission: MissionRef,
    accreditation: &str,
    expires: Micros,
) -> Result<()> {
    let details = json!({ "accreditation": accreditation, "expires_at": expires.rfc3339() });
    Deed::new(host, by, Act::EnrolmentCode, details).note(conn, mission.no)
}

#[cfg(test)]
mod tests {
    use protocol::entry::Kind;

    use super::*;

    #[test]
    fn no_act_is_called_like_an_entry() {
        for (act, meaning) in Act::ALL {
            let kind = Kind::from(act.name().to_owned());
            assert!(matches!(kind, Kind::Unknown(_)), "{act:?}");
            assert!(meaning.ends_with('.'));
        }
    }
}
