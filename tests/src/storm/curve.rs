//! The curve as an SVG that can be read on a light and on a dark page.

use std::fmt::Write as _;

use super::{Options, Outcome, phones::Waits};

/// Places in the picture, in its own units.
const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 590.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 800.0;
/// Top and bottom of the two charts.
const SHARES: (f64, f64) = (64.0, 270.0);
const RATES: (f64, f64) = (350.0, 545.0);
/// Points of a line.
const POINTS: usize = 360;
/// The most that the lower chart shows, in powers of ten of requests a second.
const DECADES: f64 = 5.0;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.grid { stroke: #8c959f; stroke-opacity: .35; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.critical { stroke: #cf222e } .text { stroke: #0969da } .news { stroke: #8250df; stroke-dasharray: 6 4 }
.offered { stroke: #bc4c00 } .served { stroke: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .critical { stroke: #ff7b72 } .text { stroke: #79c0ff } .news { stroke: #d2a8ff }
  .offered { stroke: #ffa657 } .served { stroke: #7ee787 }
}
";

/// Draws it.
pub(super) fn draw(options: &Options, outcome: &Outcome) -> String {
    let all = [&outcome.critical, &outcome.text, &outcome.news];
    let last = all.map(|waits| outcome.last(waits));
    // To the next whole minute.
    let seconds = (last.into_iter().fold(60.0, f64::max) / 60.0).ceil() * 60.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n\
         <title>{} phones come back within {} seconds</title>\n<style>{STYLE}</style>\n",
        options.phones, options.within
    );
    text(
        &mut svg,
        (LEFT, 24.0),
        "title",
        &format!(
            "{} phones come back within {} s",
            grouped(options.phones),
            options.within
        ),
    );
    text(
        &mut svg,
        (LEFT, 48.0),
        "",
        "share that is done, by minutes since the network is back",
    );
    frame(&mut svg, SHARES, seconds);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        level(&mut svg, SHARES, share, &format!("{:.0} %", share * 100.0));
    }
    for (name, waits) in [("critical", all[0]), ("text", all[1]), ("news", all[2])] {
        line(&mut svg, name, SHARES, seconds, |at| share_at(waits, at));
    }
    legend(
        &mut svg,
        SHARES.1 + 38.0,
        &[
            ("critical", "critical reports delivered"),
            ("text", "other reports delivered"),
            ("news", "what is new, read"),
        ],
    );
    text(
        &mut svg,
        (LEFT, RATES.0 - 16.0),
        "",
        "requests a second, each division ten times the one below",
    );
    frame(&mut svg, RATES, seconds);
    for (decade, label) in ["1", "10", "100", "1,000", "10,000", "100,000"]
        .iter()
        .enumerate()
    {
        level(&mut svg, RATES, decade as f64 / DECADES, label);
    }
    for (name, counts) in [("offered", &outcome.offered()), ("served", &outcome.served)] {
        line(&mut svg, name, RATES, seconds, |at| {
            rate_at(counts, at, seconds / POINTS as f64)
        });
    }
    legend(
        &mut svg,
        HEIGHT - 6.0,
        &[
            ("offered", "requests that come"),
            ("served", "requests that are served"),
        ],
    );
    svg.push_str("</svg>\n");
    svg
}

/// How many of them were over by then.
fn share_at(waits: &Waits, at: f64) -> f64 {
    let done = waits.ends.partition_point(|end| *end <= at);
    done as f64 / waits.len().max(1) as f64
}

/// The mean of the seconds around a moment, as a share of the chart's height.
fn rate_at(counts: &[u32], at: f64, apart: f64) -> f64 {
    let second = |at: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a second of an hour or two"
        )]
        let second = at.max(0.0) as usize;
        second.min(counts.len())
    };
    let (from, to) = (second(at), second(at + apart.max(1.0)));
    let sum: u32 = counts[from..to].iter().sum();
    let mean = f64::from(sum) / to.saturating_sub(from).max(1) as f64;
    (mean.max(1.0).log10() / DECADES).min(1.0)
}

fn x(at: f64, seconds: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * at / seconds
}

fn y((top, bottom): (f64, f64), share: f64) -> f64 {
    bottom - (bottom - top) * share
}

/// Minutes, with a line every so many.
fn frame(svg: &mut String, chart: (f64, f64), seconds: f64) {
    let minutes = seconds / 60.0;
    let step = [1.0, 2.0, 5.0, 10.0, 20.0]
        .into_iter()
        .find(|step| minutes / step <= 12.0)
        .unwrap_or(30.0);
    let mut minute = 0.0;
    while minute <= minutes {
        let at = x(minute * 60.0, seconds);
        stroke(svg, (at, chart.0), (at, chart.1));
        text(svg, (at - 4.0, chart.1 + 17.0), "", &format!("{minute}"));
        minute += step;
    }
}

fn level(svg: &mut String, chart: (f64, f64), share: f64, label: &str) {
    let at = y(chart, share);
    stroke(svg, (LEFT, at), (RIGHT, at));
    text(svg, (6.0, at + 4.0), "", label);
}

fn line(svg: &mut String, class: &str, chart: (f64, f64), seconds: f64, of: impl Fn(f64) -> f64) {
    let points: Vec<String> = (0..=POINTS)
        .map(|point| {
            let at = seconds * point as f64 / POINTS as f64;
            format!("{:.1},{:.1}", x(at, seconds), y(chart, of(at)))
        })
        .collect();
    put(
        svg,
        format_args!(
            "<polyline class=\"line {class}\" points=\"{}\"/>\n",
            points.join(" ")
        ),
    );
}

fn legend(svg: &mut String, at: f64, entries: &[(&str, &str)]) {
    let mut left = LEFT;
    for (class, label) in entries {
        put(
            svg,
            format_args!(
                "<path class=\"line {class}\" d=\"M{left} {0}h28\"/>\n",
                at - 4.0
            ),
        );
        text(svg, (left + 34.0, at), "", label);
        left += 60.0 + label.len() as f64 * 7.0;
    }
}

fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    put(
        svg,
        format_args!(
            "<path class=\"grid\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn text(svg: &mut String, at: (f64, f64), class: &str, words: &str) {
    put(
        svg,
        format_args!(
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>\n",
            at.0, at.1
        ),
    );
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    svg.write_fmt(what).ok();
}

/// A number with commas.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
