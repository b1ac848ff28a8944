//! Enrolment: one-time codes, and the key that each is redeemed for.
//!
//! A code has 128 random bits, so its SHA-256 is all that is kept and guessing
//! needs no limiter. It is redeemed by one statement that tells the winner.

use protocol::{
    codes::Code,
    enrolment::{Mission, Proof, Request, Response},
    entry::{Kind, SdJwt, WireEntry},
    ids::{AccreditationId, DeviceId},
    jose::PublicKey,
};
use sha2::{Digest as _, Sha256};

use crate::{
    clock::{Host, Micros},
    domain::{
        acts::{self, MissionRef, Office},
        missions,
    },
    error::{Error, Result},
    keys::Keys,
    store::{Conn, devices, enrolment as store, ledger, projections},
};

/// Crockford's base32: no I, L, O, U, so that a code can be read out.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 128 bits in base32.
const CODE_CHARS: usize = 26;

/// Issues a code for an accreditation, by its number. Runs inside `Store::write`.
///
/// # Errors
/// `accreditation_unknown`, `accreditation_revoked`, or the database's.
pub fn issue(
    conn: &mut Conn,
    host: &Host,
    mission: MissionRef,
    accreditation_number: &str,
    hours: i64,
) -> Result<(String, Micros)> {
    let unknown = || {
        Error::refused(
            Code::AccreditationUnknown,
            "there is no accreditation with this number",
        )
    };
    if accreditation_number.contains('\0') {
        return Err(unknown());
    }
    let row = devices::accreditation_by_number(conn, mission.no, accreditation_number)?
        .ok_or_else(unknown)?;
    if projections::is_accreditation_revoked(conn, mission.no, &row.id)? {
        return Err(Error::refused(
            Code::AccreditationRevoked,
            "the accreditation has been revoked",
        ));
    }
    let code = encode(&host.bytes::<16>());
    let now = host.now();
    let expires = now.plus_seconds(hours.saturating_mul(3600));
    store::insert(
        conn,
        &store::CodeRow {
            code_hash: code_hash(&code),
            mission: mission.no,
            accreditation: row.id,
            issued_at: now.0,
            expires_at: expires.0,
            redeemed_at: None,
            kid: None,
        },
    )?;
    Ok((code, expires))
}

/// A request whose proof verified: what is left is to redeem the code.
#[derive(Clone, Debug)]
pub struct Checked {
    request: Request,
    kid: String,
}

/// Checks key and proof; needs no database.
///
/// # Errors
/// `key_not_accepted`, `enrolment_proof_invalid`.
pub fn check(keys: &Keys, request: Request) -> Result<Checked> {
    let key = PublicKey::from_jwk(&request.key)
        .map_err(|error| Error::refused(Code::KeyNotAccepted, error.to_string()))?;
    let invalid = |why: &str| Error::refused(Code::EnrolmentProofInvalid, why);
    let proof = Proof::verify(&request.proof, &key).map_err(|error| invalid(&error.to_string()))?;
    if proof.code != request.code {
        return Err(invalid("the proof is for another code"));
    }
    if proof.aud != keys.receipt_kid {
        return Err(invalid("the proof is for another server"));
    }
    Ok(Checked {
        kid: key.thumbprint(),
        request,
    })
}

/// Whether the code exists at all: spares strangers the write lock.
///
/// # Errors
/// `enrolment_code_unknown`, or the database's.
pub fn look(conn: &mut Conn, checked: &Checked) -> Result<()> {
    store::find(conn, &code_hash(&checked.request.code))?
        .map(drop)
        .ok_or_else(unknown)
}

/// Redeems the code and enrols the key, or answers again what was answered
/// before. Runs inside `Store::write`.
///
/// # Errors
/// `enrolment_code_unknown`, `…_expired`, `…_used`, `key_not_accepted`,
/// `accreditation_revoked`, or the database's.
pub fn redeem(
    conn: &mut Conn,
    office: Office<'_>,
    keys: &Keys,
    checked: &Checked,
) -> Result<Response> {
    let hash = code_hash(&checked.request.code);
    let now = office.host.now();
    let won = store::redeem(conn, &hash, &checked.kid, now)?;
    let row = store::find(conn, &hash)?.ok_or_else(unknown)?;
    let mission = mission(conn, row.mission)?;
    let accreditation = AccreditationId(devices::read_id(&row.accreditation)?);
    let device = if won {
        enrol(conn, office, mission.reference, accreditation, checked)?
    } else if row.redeemed_at.is_none() {
        return Err(Error::refused(
            Code::EnrolmentCodeExpired,
            "the code has expired; ask for a new one",
        ));
    } else if row.kid.as_deref() == Some(checked.kid.as_str()) {
        let device = projections::device_by_kid(conn, &checked.kid)?
            .ok_or_else(|| Error::Internal("a redeemed code without a device".into()))?;
        DeviceId(devices::read_id(&device.id)?)
    } else {
        return Err(Error::refused(
            Code::EnrolmentCodeUsed,
            "the code was used by another device",
        ));
    };
    let number = devices::accreditation(conn, row.mission, &row.accreditation)?
        .ok_or_else(|| Error::Internal("a code without an accreditation".into()))?
        .number;
    let (entry, entry_number) = match enrolment_entry(conn, row.mission, device)? {
        Some((entry, number)) => (Some(entry), Some(number)),
        None => (None, None),
    };
    Ok(Response {
        device,
        mission: Mission {
            id: mission.reference.id,
            name: mission.name,
            election: mission.election,
            timezone: mission.timezone,
        },
        accreditation: number,
        receipt_key: keys.receipt_public.to_jwk(),
        sealing_key: mission.sealing_key,
        epoch: missions::ensure_epoch(conn, office.host)?,
        server_time: now.rfc3339(),
        entry,
        number: entry_number,
    })
}

/// The enrolment's ledger entry and its number, for the phone to keep.
fn enrolment_entry(
    conn: &mut Conn,
    mission: i32,
    device: DeviceId,
) -> Result<Option<(WireEntry, u64)>> {
    let rows = ledger::of_subject(conn, mission, device.0.as_bytes())?;
    let row = rows
        .iter()
        .find(|row| row.kind == Kind::Enrol.name() && row.standing == "applied");
    let Some((row, compact)) =
        row.and_then(|row| Some((row, std::str::from_utf8(&row.sd_jwt).ok()?)))
    else {
        return Ok(None);
    };
    let entry = SdJwt::parse(compact).map_err(|error| Error::Internal(error.to_string()))?;
    let number = u64::try_from(row.number).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some((entry.to_wire(), number)))
}

fn enrol(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    accreditation: AccreditationId,
    checked: &Checked,
) -> Result<DeviceId> {
    use diesel::result::{DatabaseErrorKind, Error as E};
    let taken = || {
        Error::refused(
            Code::KeyNotAccepted,
            "the key is enrolled already; make a new one",
        )
    };
    if let Some(device) = projections::device_by_kid(conn, &checked.kid)? {
        return enrolled_as(conn, mission, accreditation, &device)?.ok_or_else(taken);
    }
    match acts::enrol(conn, office, mission, accreditation, &checked.request.key) {
        // Two missions may be offered one key at the same moment.
        Err(Error::Database(E::DatabaseError(DatabaseErrorKind::UniqueViolation, _))) => {
            Err(taken())
        }
        other => other,
    }
}

/// The device, if another code for the same accreditation brings its key again:
/// the server may have lost the code that it was enrolled with, or a copy of
/// the phone may have come first.
fn enrolled_as(
    conn: &mut Conn,
    mission: MissionRef,
    accreditation: AccreditationId,
    device: &projections::NewDevice,
) -> Result<Option<DeviceId>> {
    let id = DeviceId(devices::read_id(&device.id)?);
    if device.mission != mission.no || device.accreditation != accreditation.0.as_bytes() {
        return Ok(None);
    }
    let state = devices::state(conn, mission.no, id)?;
    Ok(state.filter(|state| !state.revoked).map(|_| id))
}

fn unknown() -> Error {
    Error::refused(
        Code::EnrolmentCodeUnknown,
        "there is no such code; check it, or ask for a new one",
    )
}

fn mission(conn: &mut Conn, no: i32) -> Result<crate::store::missions::Mission> {
    crate::store::missions::list(conn)?
        .into_iter()
        .find(|mission| mission.reference.no == no)
        .ok_or_else(|| Error::Internal("a code without a mission".into()))
}

/// The hash of a code as somebody may have typed it.
fn code_hash(code: &str) -> Vec<u8> {
    let canonical: String = code
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    Sha256::digest(canonical).to_vec()
}

fn encode(bytes: &[u8; 16]) -> String {
    let bits = u128::from_be_bytes(*bytes);
    (0..CODE_CHARS)
        .map(|at| {
            // 26 characters hold 130 bits: the first stands for the top three.
            let digit = (bits >> (5 * (CODE_CHARS - 1 - at))) & 31;
            char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_hold_all_128_bits() {
        assert_eq!(encode(&[0; 16]), "0".repeat(26));
        assert_eq!(encode(&[0xff; 16]), format!("7{}", "Z".repeat(25)));
        let mut one = [0; 16];
        one[0] = 0x80;
        assert_eq!(encode(&one), format!("4{}", "0".repeat(25)));
    }

    #[test]
    fn a_code_may_be_typed_carelessly() {
        let code = encode(&[0b0000_1000; 16]);
        let typed = format!(
            " {}-{}",
            &code[..13]
                .to_lowercase()
                .replace('0', "o")
                .replace('1', "l"),
            &code[13..]
        );
        assert_eq!(code_hash(&code), code_hash(&typed));
        assert_ne!(code_hash(&code), code_hash(&code[1..]));
    }
}
