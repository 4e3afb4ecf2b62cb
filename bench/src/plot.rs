//! The report as a picture: a bar for each median, a line for its quartiles.

use crate::{
    report::Report,
    rounds::Measured,
    variant::{Guard, ROUTES},
};
use std::fmt::{self, Write};

const LEFT: f64 = 210.0;
const WIDTH: f64 = 480.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 44.0;
const BAR: f64 = 14.0;
const PITCH: f64 = 18.0;
const GAP: f64 = 8.0;

/// An SVG of the variants with the smallest table, which is what most tables are.
///
/// # Errors
/// None in practice: a String takes all that is written.
pub(crate) fn svg(report: &Report) -> Result<String, fmt::Error> {
    let bars: Vec<&Measured> = report
        .variants
        .iter()
        .filter(|one| one.variant.is_noise() || one.variant.setup.routes == ROUTES[0])
        .collect();
    let longest = bars.iter().map(|one| one.ratio.upper).fold(1.0, f64::max);
    let scale = WIDTH / longest;
    let x = |ratio: f64| LEFT + ratio * scale;

    let mut body = String::new();
    let mut y = TOP;
    let mut group = None;
    for one in bars {
        let path = one.variant.path;
        let here = (one.variant.is_noise(), path, one.variant.setup.shape);
        if group.replace(here).is_some_and(|before| before != here) {
            y += GAP;
        }
        write_bar(&mut body, one, y, x)?;
        y += PITCH;
    }

    let (width, height) = (LEFT + WIDTH + RIGHT, y + 10.0);
    let (bare, rounds) = (x(1.0), report.method.rounds);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img" aria-label="CPU per request by guard and path">
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="18" font-weight="bold">CPU per request as a ratio to bare Envoy, {routes} routes</text>
<text x="8" y="34" fill="#555">median of {rounds} rounds; thin line: quartiles; shorter is better</text>
{body}<line x1="{bare:.1}" x2="{bare:.1}" y1="{TOP}" y2="{bottom}" stroke="#000" stroke-dasharray="3 3"/>
</svg>
"##,
        routes = ROUTES[0],
        bottom = y - PITCH + BAR,
    ))
}

fn write_bar(
    svg: &mut String,
    one: &Measured,
    y: f64,
    x: impl Fn(f64) -> f64,
) -> Result<(), fmt::Error> {
    let guard = one.variant.setup.guard;
    let label = if one.variant.is_noise() {
        "bare, against itself".to_owned()
    } else {
        let (path, shape) = (one.variant.path.name(), one.variant.setup.shape.suffix());
        format!("{path}{shape}: {}", guard.name())
    };
    let (text, middle) = (y + 11.0, y + BAR / 2.0);
    let ratio = one.ratio;
    let (end, lower, upper) = (x(ratio.median), x(ratio.lower), x(ratio.upper));
    writeln!(
        svg,
        r#"<text x="{}" y="{text}" text-anchor="end">{label}</text>"#,
        LEFT - 8.0
    )?;
    writeln!(
        svg,
        r#"<rect x="{LEFT}" y="{y}" width="{:.1}" height="{BAR}" fill="{}"/>"#,
        end - LEFT,
        colour(guard)
    )?;
    writeln!(
        svg,
        r##"<line x1="{lower:.1}" x2="{upper:.1}" y1="{middle}" y2="{middle}" stroke="#000"/>"##
    )?;
    writeln!(
        svg,
        r#"<text x="{:.1}" y="{text}">{:.2}</text>"#,
        upper.max(end) + 6.0,
        ratio.median
    )
}

/// Colours that stay apart for colour-blind eyes (Okabe and Ito).
const fn colour(guard: Guard) -> &'static str {
    match guard {
        Guard::Bare => "#bbbbbb",
        Guard::Native | Guard::NativeTree => "#56b4e9",
        Guard::Lua => "#e69f00",
        Guard::Faultline | Guard::FaultlineLabels => "#009e73",
        Guard::FaultlineModule => "#0072b2",
        Guard::ModuleIdle => "#dddddd",
        Guard::Peer(_) => "#cc79a7",
    }
}
