//! QR codes for pages to draw.

use qrcode::{Color, QrCode};

use crate::error::Error;

/// A text as a QR code: its rows, `1` for dark, without a margin.
///
/// # Errors
/// A text that is too long for any.
pub(super) fn rows(text: &str) -> Result<Vec<String>, Error> {
    let code = QrCode::new(text).map_err(|error| Error::Internal(error.to_string()))?;
    let draw = |color: &Color| if *color == Color::Dark { '1' } else { '0' };
    Ok(code
        .to_colors()
        .chunks(code.width())
        .map(|row| row.iter().map(draw).collect())
        .collect())
}
