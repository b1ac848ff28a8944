//! Enrolment, and the copy of it that the vault keeps.

use protocol::{codes::Code, enrolment::Invitation};
use sealed::rescue::Owner;

use super::{Client, Enrolment, SyncOptions, not_enrolled, server_error};
use crate::{
    engine::{Change, Event, Identity},
    error::Error,
    seal::{Place, SUITE_1, Sealed},
    transport::is_allowed_origin,
};

impl Client {
    /// Uses an enrolment link. Durable before the server is asked; if it cannot
    /// be reached, the enrolment stays pending, one may file, and the next sync
    /// completes it.
    ///
    /// # Errors
    /// [`Code::LinkInvalid`], [`Code::AlreadyEnrolled`], what the server answers
    /// to the code, and [`Code::ServerKeyMismatch`].
    pub async fn enrol(&self, link: &str) -> Result<Enrolment, Error> {
        let invitation = Invitation::from_url(link)
            .filter(|invitation| is_allowed_origin(&invitation.origin))
            .ok_or_else(|| {
                Error::refused(
                    Code::LinkInvalid,
                    "the enrolment link is incomplete or damaged, or not https; copy all of it, or ask for a new one",
                )
            })?;
        let link = invitation.to_url();
        self.refresh().await?;
        let filed = !self.book.borrow().entries().is_empty();
        let known = self.identity().await?;
        match &known {
            Some(known) if known.enrolled.is_some() => {
                if known.link == link {
                    return self.enrolment().await?.ok_or_else(not_enrolled);
                }
                return Err(Error::refused(
                    Code::AlreadyEnrolled,
                    "this device is enrolled already; nothing was changed",
                ));
            }
            // What was filed is signed for its mission.
            Some(known) if filed && known.mission() != Some(invitation.mission) => {
                return Err(Error::refused(
                    Code::AlreadyEnrolled,
                    "reports for another mission wait on this device; use a link for that mission, or another home",
                ));
            }
            _ => {}
        }
        let identity = Identity {
            link,
            enrolled: None,
            refused: None,
        };
        self.apply(vec![Change::Identity(identity.clone())]).await?;
        let report = self
            .drive(
                identity.clone(),
                Some(Event::EnrolRequested),
                &SyncOptions::default(),
            )
            .await?
            .unwrap_or_default();
        match report.ended {
            Some(ended) if !is_passing(ended.code) => {
                // An earlier link of the mission may have been redeemed with the answer lost;
                // then the next sync completes it, and only it can.
                let earlier = known.filter(|known| {
                    known.refused.is_none()
                        && known.link != identity.link
                        && known.mission() == identity.mission()
                });
                if let Some(earlier) = earlier {
                    self.apply(vec![Change::Identity(earlier)]).await?;
                }
                Err(server_error(ended))
            }
            _ => self.enrolment().await?.ok_or_else(not_enrolled),
        }
    }

    /// How the enrolment stands; `None` if no link was used yet.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn enrolment(&self) -> Result<Option<Enrolment>, Error> {
        let Some(identity) = self.identity().await? else {
            return Ok(None);
        };
        let Some(invitation) = identity.invitation() else {
            return Ok(None);
        };
        let response = identity.enrolled.as_ref();
        Ok(Some(Enrolment {
            enrolled: response.is_some(),
            mission: invitation.mission,
            mission_name: response.map(|response| response.mission.name.clone()),
            election: response.map(|response| response.mission.election.clone()),
            accreditation: response.map(|response| response.accreditation.clone()),
            device_key: self.signer.public().thumbprint(),
            server: invitation.origin,
            refused: identity.refused,
        }))
    }

    pub(super) fn keep_anchor(&self, identity: &Identity) -> Result<(), Error> {
        let plain = zeroize::Zeroizing::new(serde_json::json!(identity).to_string());
        let sealed =
            self.data_key
                .seal(&Place::Anchor, plain.as_bytes(), self.environment.as_ref())?;
        self.vault
            .set_anchor(&[sealed.nonce, sealed.bytes].concat())?;
        self.keep_for_mission(identity)
    }

    /// Lets the mission open what is here if the keys are lost: once enrolled,
    /// since only then is its key known.
    pub(super) fn keep_for_mission(&self, identity: &Identity) -> Result<(), Error> {
        let Some(response) = &identity.enrolled else {
            return Ok(());
        };
        let owner = Owner {
            mission: response.mission.id,
            device: response.device,
            enrolment: response.entry.clone(),
        };
        self.vault.keep_for_mission(&response.sealing_key, &owner)
    }

    pub(super) fn read_anchor(&self) -> Result<Option<Identity>, Error> {
        let Some(bytes) = self.vault.anchor()? else {
            return Ok(None);
        };
        let Some((nonce, sealed)) = bytes.split_at_checked(24) else {
            return Ok(None);
        };
        let sealed = Sealed {
            suite: SUITE_1,
            nonce: nonce.to_vec(),
            bytes: sealed.to_vec(),
        };
        let plain = self.data_key.open(&Place::Anchor, &sealed);
        Ok(plain.and_then(|plain| serde_json::from_slice(&plain).ok()))
    }
}

/// Whether trying again later helps, so that an enrolment stays pending.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::NetworkFailed
            | Code::Overloaded
            | Code::TooManyAttempts
            | Code::DatabaseUnavailable
            | Code::Internal
    )
}
