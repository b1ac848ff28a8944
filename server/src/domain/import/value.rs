//! Reading the cells of a row.

use protocol::{codes::Code, entry::Place, limits};

use super::{Decimal, RowError, table::Row};

/// Characters of a name.
pub(super) const NAME_CHARS: usize = 500;

/// One row being read, its errors collected.
pub(super) struct Reader<'r> {
    pub(super) row: &'r Row<'r>,
    pub(super) errors: &'r mut Vec<RowError>,
}

impl<'r> Reader<'r> {
    fn error(&mut self, column: Option<usize>, code: Code, message: impl Into<String>) {
        self.errors
            .push(self.row.error(column, code, message.into()));
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, column: Option<usize>, what: &str, chars: usize) -> String {
        if self.row.cell(column).is_empty() {
            self.error(column, Code::ValueMissing, format!("the {what} is empty"));
            return String::new();
        }
        self.text(column, what, chars)
    }

    /// A text that may be empty.
    pub(super) fn text(&mut self, column: Option<usize>, what: &str, chars: usize) -> String {
        let cell = self.row.cell(column);
        if cell.chars().count() > chars {
            let message = format!("the {what} is longer than {chars} characters");
            self.error(column, Code::TooLong, message);
        } else if cell.contains('\0') {
            self.error(
                column,
                Code::InvalidValue,
                format!("the {what} holds U+0000"),
            );
        }
        cell.to_owned()
    }

    /// A code that must be there.
    pub(super) fn needed_code(&mut self, column: Option<usize>, what: &str) -> &'r str {
        if self.row.cell(column).is_empty() {
            self.error(column, Code::ValueMissing, format!("the {what} is empty"));
        }
        self.code(column, what)
    }

    /// A code that may be empty.
    pub(super) fn code(&mut self, column: Option<usize>, what: &str) -> &'r str {
        let cell = self.row.cell(column);
        if cell.len() > limits::CODE_BYTES {
            let message = format!("the {what} is longer than {} bytes", limits::CODE_BYTES);
            self.error(column, Code::TooLong, message);
        } else if cell.chars().any(char::is_control) {
            self.error(
                column,
                Code::InvalidValue,
                format!("the {what} holds a control character"),
            );
        }
        cell
    }

    /// A count that may be empty.
    pub(super) fn count(&mut self, column: Option<usize>, what: &str) -> Option<i64> {
        let cell = self.row.cell(column);
        if cell.is_empty() {
            return None;
        }
        let plain = cell.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| cell.parse().ok()).flatten();
        if number.is_none() {
            let message = format!("the {what} must be a whole number such as 1186, not `{cell}`");
            self.error(column, Code::NumberInvalid, message);
        }
        number
    }

    /// Yes or no; empty is no.
    pub(super) fn flag(&mut self, column: Option<usize>) -> bool {
        let cell = self.row.cell(column);
        match cell.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => true,
            "" | "false" | "no" | "0" => false,
            _ => {
                let message = format!("`{cell}` is neither true nor false");
                self.error(column, Code::InvalidValue, message);
                false
            }
        }
    }

    /// One of a few names; `None` if empty.
    pub(super) fn choice(
        &mut self,
        column: Option<usize>,
        what: &str,
        names: &[&'static str],
    ) -> Option<&'static str> {
        let cell = self.row.cell(column);
        if cell.is_empty() {
            return None;
        }
        let found = names
            .iter()
            .copied()
            .find(|name| name.eq_ignore_ascii_case(cell));
        if found.is_none() {
            let message = format!("the {what} `{cell}` is not one of {}", names.join(", "));
            self.error(column, Code::InvalidValue, message);
        }
        found
    }

    /// Latitude and longitude, both or neither.
    pub(super) fn place(
        &mut self,
        lat: Option<usize>,
        lon: Option<usize>,
        decimal: Decimal,
    ) -> Option<(f64, f64)> {
        let (north, east) = (self.row.cell(lat), self.row.cell(lon));
        if north.is_empty() && east.is_empty() {
            return None;
        }
        if north.is_empty() || east.is_empty() {
            let (column, what) = if north.is_empty() {
                (lat, "latitude")
            } else {
                (lon, "longitude")
            };
            let message = format!("the {what} is missing, though the other coordinate is given");
            self.error(column.or(lat).or(lon), Code::CoordinateInvalid, message);
            return None;
        }
        let (lat_value, lon_value) = (
            self.degrees(lat, north, decimal),
            self.degrees(lon, east, decimal),
        );
        let (lat_value, lon_value) = (lat_value?, lon_value?);
        let place = |lat, lon| {
            Place {
                lat,
                lon,
                accuracy: None,
            }
            .is_valid()
        };
        if !place(lat_value, 0.0) {
            let message = format!("the latitude {north} does not lie between -90 and 90");
            self.error(lat, Code::CoordinateInvalid, message);
        }
        if !place(0.0, lon_value) {
            let message = format!("the longitude {east} does not lie between -180 and 180");
            self.error(lon, Code::CoordinateInvalid, message);
        }
        if lat_value == 0.0 && lon_value == 0.0 {
            let message = "0, 0 lies in the sea; leave both empty when the place is not known";
            self.error(lat, Code::CoordinateInvalid, message);
        }
        Some((lat_value, lon_value))
    }

    fn degrees(&mut self, column: Option<usize>, cell: &str, decimal: Decimal) -> Option<f64> {
        let number = decimal_number(cell, decimal);
        if number.is_none() {
            let example = match decimal {
                Decimal::Point => "40.4671 (for a decimal comma, say --decimal comma)",
                Decimal::Comma => "40,4671 (for a decimal point, leave --decimal out)",
            };
            let message = format!("`{cell}` is not a number such as {example}");
            self.error(column, Code::NumberInvalid, message);
        }
        number
    }
}

/// Digits with at most one decimal sign, and a sign before; nothing else, so
/// that `1,5`, `1e5`, `nan` and `0x1` are not taken for something they are not.
fn decimal_number(text: &str, decimal: Decimal) -> Option<f64> {
    let sign = match decimal {
        Decimal::Point => '.',
        Decimal::Comma => ',',
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once(sign).unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    text.replace(sign, ".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_strictly() {
        use Decimal::{Comma, Point};
        for (text, decimal, want) in [
            ("40.5", Point, Some(40.5)),
            ("-40.5", Point, Some(-40.5)),
            ("+7", Point, Some(7.0)),
            ("40,5", Comma, Some(40.5)),
            ("40,5", Point, None),
            ("40.5", Comma, None),
            ("1.000,5", Comma, None),
            ("1e5", Point, None),
            ("nan", Point, None),
            ("inf", Point, None),
            (".5", Point, None),
            ("5.", Point, None),
            ("-", Point, None),
            ("40°", Point, None),
            ("٤٠", Point, None),
        ] {
            assert_eq!(decimal_number(text, decimal), want, "{text}");
        }
    }
}
