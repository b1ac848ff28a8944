//! `GET /docs`: the OpenAPI document as one page for people.
//!
//! Rendered here, without any script: it reads well on a phone, in light and
//! dark, and lives under a policy that allows nothing but its own style.
//! Swagger UI needs more than that policy gives, and ten megabytes.

use std::{fmt::Write as _, sync::LazyLock};

use actix_web::{HttpResponse, http::header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::codes::Code;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{
    openapi,
    routes::{Policy, ROUTES, Route},
};

pub(super) const ERRORS: &[Code] = &[];

const STYLE: &str = include_str!("docs.css");

static PAGE: LazyLock<String> = LazyLock::new(|| render(openapi::document()));
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
});

/// This interface as a page for people.
#[utoipa::path(get, path = "/docs", tag = "documents",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn docs_page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .body(PAGE.as_str())
}

/// What somebody sees who opens an enrolment link in a browser.
///
/// The code stands after `#` and never reaches the server this way.
#[utoipa::path(get, path = "/enrol", tag = "documents",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn enrol_page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .body(include_str!("enrol.html").replace("{STYLE}", STYLE))
}

// Writing into a String cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { write!($out, $($arg)*).unwrap_or(()) };
}

fn render(document: &Value) -> String {
    let mut out = String::with_capacity(128 * 1024);
    let title = escape(text(&document["info"]["title"]));
    put!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: the HTTP interface</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{title}: the HTTP interface</h1>{}\
         <p>The same for machines: <a href=\"/openapi.json\"><code>/openapi.json</code></a>.</p></header>\n<main>\n",
        prose(text(&document["info"]["description"])),
    );
    let tags: Vec<(&str, &str)> = document["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| (text(&tag["name"]), text(&tag["description"])))
        .collect();
    out.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for (tag, description) in &tags {
        put!(
            out,
            "<li><a href=\"#tag-{0}\">{0}</a> <span class=\"soft\">{1}</span></li>\n",
            escape(tag),
            escape(description)
        );
    }
    out.push_str("<li><a href=\"#schemas\">schemas</a> <span class=\"soft\">What is sent and received</span></li>\n</ul></nav>\n");
    for (tag, description) in &tags {
        put!(
            out,
            "<section id=\"tag-{0}\"><h2>{0}</h2><p>{1}</p>\n",
            escape(tag),
            escape(description)
        );
        for route in ROUTES {
            let operation =
                &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            if operation["tags"][0].as_str() == Some(tag) {
                render_operation(&mut out, route, operation);
            }
        }
        out.push_str("</section>\n");
    }
    out.push_str("<section id=\"schemas\"><h2>Schemas</h2>\n");
    for (name, schema) in object(&document["components"]["schemas"]) {
        put!(
            out,
            "<article id=\"schema-{0}\"><h3><code>{0}</code></h3>{1}",
            escape(name),
            prose(text(&schema["description"]))
        );
        render_schema(&mut out, schema);
        out.push_str("</article>\n");
    }
    out.push_str("</section>\n</main>\n</body>\n</html>\n");
    out
}

fn render_operation(out: &mut String, route: &Route, operation: &Value) {
    put!(
        out,
        "<article><h3><span class=\"method\">{}</span> <code>{}</code></h3><p>{}</p>{}",
        route.method,
        escape(route.path),
        inline(text(&operation["summary"])),
        prose(text(&operation["description"])),
    );
    let nobody_in_particular = match route.policy {
        Policy::Session => "whoever is signed in at the console",
        _ => "anybody",
    };
    let who = route.roles().map_or_else(
        || nobody_in_particular.to_owned(),
        |roles| {
            roles
                .iter()
                .map(|role| role.name())
                .collect::<Vec<_>>()
                .join(", ")
        },
    );
    put!(out, "<p class=\"soft\">For: {}</p>", escape(&who));
    let parameters = operation["parameters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        out.push_str("<details open><summary>Parameters</summary><dl>");
        for parameter in parameters {
            put!(
                out,
                "<dt><code>{}</code> <span class=\"soft\">{}</span></dt><dd>{}</dd>",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"])),
                inline(text(&parameter["description"])),
            );
        }
        out.push_str("</dl></details>");
    }
    for (media, content) in object(&operation["requestBody"]["content"]) {
        put!(
            out,
            "<p>Send <code>{}</code>: {}</p>",
            escape(media),
            type_of(&content["schema"])
        );
    }
    let mut problems = String::new();
    for (status, response) in object(&operation["responses"]) {
        let codes = response["x-codes"].as_array();
        let out = if codes.is_some() {
            &mut problems
        } else {
            &mut *out
        };
        put!(out, "<p><strong>{}</strong> ", escape(status));
        out.push_str(
            &text(&response["description"])
                .split("\n\n")
                .map(inline)
                .collect::<Vec<_>>()
                .join("<br>"),
        );
        if codes.is_none() {
            for (media, content) in object(&response["content"]) {
                put!(
                    out,
                    "; <code>{}</code> {}",
                    escape(media),
                    type_of(&content["schema"])
                );
            }
        }
        out.push_str("</p>");
    }
    if !problems.is_empty() {
        put!(
            out,
            "<details><summary>Problems</summary>{problems}</details>"
        );
    }
    out.push_str("</article>\n");
}

fn render_schema(out: &mut String, schema: &Value) {
    let properties = object(&schema["properties"]);
    if properties.is_empty() {
        put!(out, "<p>{}</p>", type_of(schema));
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    out.push_str("<dl>");
    for (name, property) in properties {
        let may = if required.contains(&name.as_str()) {
            ""
        } else {
            ", may be missing"
        };
        put!(
            out,
            "<dt><code>{}</code> <span class=\"soft\">{}{may}</span></dt><dd>{}</dd>",
            escape(name),
            type_of(property),
            inline(text(&property["description"])),
        );
    }
    out.push_str("</dl>");
    for part in schema["allOf"].as_array().into_iter().flatten() {
        match part["$ref"].as_str() {
            Some(_) => put!(out, "<p>All of {}</p>", type_of(part)),
            None => render_schema(out, part),
        }
    }
}

/// A schema in a few words, as HTML.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next())
    {
        return format!("<a href=\"#schema-{0}\"><code>{0}</code></a>", escape(name));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[choice].as_array() {
            return parts.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("<code>{}</code>", escape(text(value))))
            .collect();
        return values.join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(&schema["items"])),
        Value::String(name) => escape(name),
        Value::Array(names) => {
            let names: Vec<String> = names
                .iter()
                .map(|name| match text(name) {
                    "array" => format!("list of {}", type_of(&schema["items"])),
                    name => escape(name),
                })
                .collect();
            names.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn object(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// `code` between backticks; everything else as it is.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(at, part)| {
            if at % 2 == 1 {
                format!("<code>{}</code>", escape(part))
            } else {
                escape(part)
            }
        })
        .collect()
}

fn prose(text: &str) -> String {
    text.split("\n\n")
        .filter(|part| !part.is_empty())
        .map(|part| format!("<p>{}</p>", inline(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_schema_is_on_the_page() {
        for route in ROUTES {
            assert!(
                PAGE.contains(&format!("<code>{}</code></h3>", route.path)),
                "{}",
                route.path
            );
        }
        for part in PAGE.split("href=\"#").skip(1) {
            let anchor = part.split('"').next().unwrap();
            assert!(PAGE.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for foreign in [
            "<script", "<link", "<img", "src=", "style=\"", "http://", "https://", "@import",
            "url(",
        ] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
        assert!(POLICY.starts_with("default-src 'none'; style-src 'sha256-"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(inline("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
    }
}
