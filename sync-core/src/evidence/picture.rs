//! Pictures: a small preview without metadata, and when it was taken.
//!
//! What comes in is not trusted. Pixels, memory and the decoders are bounded; a
//! picture beyond the bounds, or one that does not decode, has no preview.

use std::io::Cursor;

use exif::{In, Tag, Value};
use image::{
    DynamicImage, ImageDecoder, ImageError, Limits,
    codecs::{jpeg::JpegDecoder, jpeg::JpegEncoder, png::PngDecoder, webp::WebPDecoder},
    imageops::FilterType,
};
use protocol::limits;

/// What a preview is.
pub const PREVIEW_TYPE: &str = "image/jpeg";
/// Bytes of a picture that gets a preview.
pub const PICTURE_BYTES: u64 = 32 * 1024 * 1024;
/// Pixels of a picture that gets a preview: what phones take, and no bomb.
const PIXELS: u64 = 50_000_000;
/// Bytes that decoding may take.
const DECODE_BYTES: u64 = 256 * 1024 * 1024;
/// Pixels of a preview's longer edge.
const EDGE: u32 = 480;
/// Tried in this order until the preview is small enough.
const QUALITIES: [u8; 4] = [70, 50, 30, 15];

/// Whether a file of this type and size may have a preview.
#[must_use]
pub fn may_have_preview(media_type: &str, size: u64) -> bool {
    matches!(media_type, "image/jpeg" | "image/png" | "image/webp") && size <= PICTURE_BYTES
}

/// A JPEG of at most [`limits::PREVIEW_BYTES`] that shows the picture upright
/// and carries nothing else; `None` if there can be none.
#[must_use]
pub fn preview(picture: &[u8], media_type: &str) -> Option<Vec<u8>> {
    let from = Cursor::new(picture);
    let image = match media_type {
        "image/jpeg" => decode(JpegDecoder::new(from)),
        "image/png" => decode(PngDecoder::with_limits(from, bounds())),
        "image/webp" => decode(WebPDecoder::new(from)),
        _ => None,
    }?;
    let small = DynamicImage::ImageRgb8(image.to_rgb8());
    QUALITIES.iter().find_map(|quality| {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, *quality);
        small.write_with_encoder(encoder).ok()?;
        (bytes.len() as u64 <= limits::PREVIEW_BYTES).then_some(bytes)
    })
}

fn bounds() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_BYTES);
    limits
}

fn decode<D: ImageDecoder>(decoder: Result<D, ImageError>) -> Option<DynamicImage> {
    let mut decoder = decoder.ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS || decoder.total_bytes() > DECODE_BYTES {
        return None;
    }
    decoder.set_limits(bounds()).ok()?;
    let orientation = decoder.orientation().ok()?;
    let image = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = if width.max(height) > EDGE {
        image.resize(EDGE, EDGE, FilterType::Triangle)
    } else {
        image
    };
    small.apply_orientation(orientation);
    Some(small)
}

/// When a picture was taken, RFC 3339, if it says so with its time zone. A time
/// without a zone may be off by a day, and is not guessed at.
#[must_use]
pub fn taken_at(picture: &[u8]) -> Option<String> {
    let found = exif::Reader::new()
        .read_from_container(&mut Cursor::new(picture))
        .ok()?;
    let text = |tag| match &found.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => std::str::from_utf8(lines.first()?).ok().map(str::trim),
        _ => None,
    };
    let (date, time) = text(Tag::DateTimeOriginal)?.split_once(' ')?;
    let taken = format!(
        "{}T{time}{}",
        date.replace(':', "-"),
        text(Tag::OffsetTimeOriginal)?
    );
    crate::host::parse_rfc3339(&taken).map(|_| taken)
}

#[cfg(test)]
mod tests {
    use exif::{Field, experimental::Writer};
    use image::{ImageEncoder as _, RgbImage, codecs::png::PngEncoder, codecs::webp::WebPEncoder};

    use super::*;

    /// Left half red, right half blue.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| {
            if x < width / 2 {
                image::Rgb([255, 0, 0])
            } else {
                image::Rgb([0, 0, 255])
            }
        })
    }

    fn exif_of(orientation: u16, zone: Option<&str>) -> Vec<u8> {
        let ascii = |tag, text: &str| Field {
            tag,
            ifd_num: In::PRIMARY,
            value: Value::Ascii(vec![text.as_bytes().to_vec()]),
        };
        let mut fields = vec![
            Field {
                tag: Tag::Orientation,
                ifd_num: In::PRIMARY,
                value: Value::Short(vec![orientation]),
            },
            ascii(Tag::DateTimeOriginal, "2024:09:01 08:15:00"),
            ascii(Tag::Artist, "CANARY"),
        ];
        fields.extend(zone.map(|zone| ascii(Tag::OffsetTimeOriginal, zone)));
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut bytes = Cursor::new(Vec::new());
        writer.write(&mut bytes, false).expect("writes");
        bytes.into_inner()
    }

    fn jpeg(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).expect("takes it");
        }
        encoder.encode_image(picture).expect("encodes");
        bytes
    }

    #[test]
    fn previews_are_small_upright_and_bare() {
        let picture = halves(1600, 800);
        let (mut png, mut webp) = (Vec::new(), Vec::new());
        let rgb = image::ExtendedColorType::Rgb8;
        PngEncoder::new(&mut png)
            .write_image(&picture, 1600, 800, rgb)
            .expect("encodes");
        WebPEncoder::new_lossless(&mut webp)
            .write_image(&picture, 1600, 800, rgb)
            .expect("encodes");
        for (bytes, media_type) in [
            (jpeg(&picture, None), "image/jpeg"),
            (png, "image/png"),
            (webp, "image/webp"),
        ] {
            let small = preview(&bytes, media_type).expect("a preview");
            let shown = image::load_from_memory(&small).expect("decodes");
            assert_eq!((shown.width(), shown.height()), (480, 240), "{media_type}");
        }
        // Turned by 90 degrees: red, which stood left, stands on top.
        let turned = jpeg(&picture, Some(exif_of(6, None)));
        assert!(turned.windows(6).any(|window| window == b"CANARY"));
        let small = preview(&turned, "image/jpeg").expect("a preview");
        let shown = image::load_from_memory(&small).expect("decodes").to_rgb8();
        assert_eq!(shown.dimensions(), (240, 480));
        assert!(shown.get_pixel(120, 60)[0] > 200 && shown.get_pixel(120, 420)[2] > 200);
        assert!(
            !small
                .windows(4)
                .any(|window| window == b"Exif" || window == b"CANA")
        );
    }

    #[test]
    fn noise_still_fits() {
        let mut state = 1_u32;
        let noise = RgbImage::from_fn(1000, 1000, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            image::Rgb([a, b, c])
        });
        let small = preview(&jpeg(&noise, None), "image/jpeg").expect("a preview");
        assert!(small.len() as u64 <= limits::PREVIEW_BYTES);
    }

    #[test]
    fn bombs_and_rubbish_have_no_preview() {
        // Says 60,000 by 60,000 pixels, in a few bytes.
        let mut bomb = Vec::new();
        PngEncoder::new(&mut bomb)
            .write_image(&halves(8, 8), 8, 8, image::ExtendedColorType::Rgb8)
            .expect("encodes");
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        assert_eq!(preview(&bomb, "image/png"), None);
        let whole = jpeg(&halves(64, 64), None);
        for (bytes, media_type) in [
            (&b"not a picture"[..], "image/jpeg"),
            (&whole[..20], "image/jpeg"),
            (&whole[..], "image/png"),
            (&whole[..], "video/mp4"),
        ] {
            assert_eq!(preview(bytes, media_type), None);
        }
        assert!(!may_have_preview("image/heic", 10));
        assert!(!may_have_preview("image/png", PICTURE_BYTES + 1));
    }

    #[test]
    fn a_time_counts_only_with_its_zone() {
        let picture = |zone| jpeg(&halves(8, 8), Some(exif_of(1, zone)));
        assert_eq!(
            taken_at(&picture(Some("+04:00"))).as_deref(),
            Some("2024-09-01T08:15:00+04:00")
        );
        assert_eq!(taken_at(&picture(None)), None);
        assert_eq!(taken_at(&picture(Some("somewhere"))), None);
        assert_eq!(taken_at(b"rubbish"), None);
    }
}
