//! Text as it is searched: folded once when stored, and once when asked for.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Folds a text for searching: compatibility-composed (NFKC), lower case, and what
/// writers of one word write differently made alike:
///
/// - all four of `I`, `İ`, `ı`, `i`: Azerbaijani and English tell them apart differently;
/// - `ё` as `е`, as Russian is mostly written;
/// - Arabic without vowel marks and stretching, its forms of alef, yeh and teh marbuta as
///   one (the rules of Lucene's `ArabicNormalizer`).
///
/// U+0000 becomes U+FFFD: PostgreSQL's text cannot hold it.
#[must_use]
pub fn fold(text: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let mut out = String::with_capacity(composed.len());
    for char in composed.chars() {
        match char {
            'I' | 'İ' | 'ı' => out.push('i'),
            'ё' | 'Ё' => out.push('е'),
            'آ' | 'أ' | 'إ' => out.push('ا'),
            'ى' => out.push('ي'),
            'ة' => out.push('ه'),
            // tatweel; fathatan to sukun
            '\u{640}' | '\u{64b}'..='\u{652}' => {}
            '\0' => out.push('\u{fffd}'),
            _ => out.extend(char.to_lowercase()),
        }
    }
    out
}

/// A text as a projection holds it: U+0000 becomes U+FFFD, because PostgreSQL's
/// text cannot hold it. The entry keeps what was signed.
#[must_use]
pub fn clean(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_letters_i_are_one() {
        for word in [
            "İştirak",
            "IŞTIRAK",
            "ıştırak",
            "iştirak",
            "I\u{307}ştirak",
            "i\u{15f}tirak",
        ] {
            assert_eq!(fold(word), "iştirak", "{word}");
        }
    }

    #[test]
    fn forms_of_one_text_are_one() {
        assert_eq!(fold("SƏSVERMƏ"), "səsvermə");
        assert_eq!(fold("e\u{301}té"), fold("Été"));
        assert_eq!(fold("ﬁlm ２"), "film 2");
        assert_eq!(fold("НАБЛЮДАТЕЛЬ"), "наблюдатель");
        assert_eq!(fold("a\0b"), "a\u{fffd}b");
    }

    #[test]
    fn spellings_of_one_word_are_one() {
        for (one, other) in [
            ("Ёлка", "елка"),
            ("مُرَاقِب", "مراقب"),
            ("إنتخابات", "انتخابات"),
            ("الأصـــوات", "الاصوات"),
            ("لجنة", "لجنه"),
            ("على", "علي"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for word in ["İSTANBUL ﷺ ǅ ß ΣΑΣ", "K\u{212a}"] {
            assert_eq!(fold(&fold(word)), fold(word));
        }
    }
}
