//! Parts of the manual that are made from the code. `UPDATE_DOCS=1` rewrites
//! them.

/// Checks, or rewrites, what stands in `docs/FILE` between
/// `<!-- made: PART -->` and `<!-- end -->`.
pub(crate) fn check(file: &str, part: &str, content: &str) {
    let path = format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- made: {part} -->\n");
    let start = text.find(&begin).expect("the manual has the part") + begin.len();
    let end = start
        + text[start..]
            .find("<!-- end -->")
            .expect("the part has an end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(
            &path,
            format!("{}{content}{}", &text[..start], &text[end..]),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        &text[start..end],
        content,
        "docs/{file} is out of date: run with UPDATE_DOCS=1"
    );
}

/// The settings, from the comments of `Config`.
#[test]
fn settings() {
    let source = include_str!("../config.rs");
    let defaults = serde_json::to_value(crate::config::Config::default()).unwrap();
    let body = source
        .split("pub struct Config {")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    let mut meaning: Vec<&str> = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            meaning.push(words.trim());
        } else if let Some(field) = line.strip_prefix("pub ") {
            let name = field.split(':').next().unwrap();
            let default = match &defaults[name] {
                serde_json::Value::Null => "none".to_owned(),
                value => format!("`{value}`"),
            };
            table.push_str(&format!(
                "| `{name}` | {default} | {} |\n",
                meaning.join(" ")
            ));
            meaning.clear();
        }
    }
    assert_eq!(
        table.lines().count(),
        2 + defaults.as_object().unwrap().len()
    );
    check("configuration.md", "settings", &table);
}
