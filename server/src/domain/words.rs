//! What people write into decisions: bounds for it.

use protocol::{codes::Code, limits};

use crate::error::{Error, Result};

/// A reason that must be there.
///
/// # Errors
/// `reason_needed`, `too_long`, `invalid_value`.
pub fn reason(text: &str) -> Result<String> {
    optional(Some(text))?.ok_or_else(|| Error::refused(Code::ReasonNeeded, "say why"))
}

/// A text that may be there; blank counts as none.
///
/// # Errors
/// `too_long`, `invalid_value`.
pub fn optional(text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.chars().count() > limits::TEXT_CHARS {
        return Err(Error::refused(
            Code::TooLong,
            format!("a text has at most {} characters", limits::TEXT_CHARS),
        ));
    }
    if text.contains('\0') {
        return Err(Error::refused(
            Code::InvalidValue,
            "a text cannot hold U+0000",
        ));
    }
    Ok(Some(text.to_owned()))
}
