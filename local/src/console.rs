//! What the person sees: numbered steps with their times, then a line per request.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Whether the output may carry colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// ANSI colours.
    On,
}

impl Colour {
    /// Colour for a stream that is a terminal, unless `NO_COLOR` is set.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && stream.is_terminal() {
            Self::On
        } else {
            Self::Off
        }
    }

    /// A text in a colour.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        match self {
            Self::Off => text.to_owned(),
            Self::On => format!("\x1b[{}m{text}\x1b[0m", paint as u8),
        }
    }
}

/// A way to show text, as its ANSI number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Strong.
    Bold = 1,
    /// Faint.
    Dim = 2,
    /// Wrong.
    Red = 31,
    /// Right.
    Green = 32,
    /// Noteworthy.
    Yellow = 33,
}

/// Steps on standard output.
#[derive(Debug)]
pub struct Console {
    colour: Colour,
    step: u32,
    steps: u32,
    began: Instant,
}

impl Console {
    /// For this many steps, of which the first `done` were somebody else's.
    #[must_use]
    pub fn new(done: u32, steps: u32) -> Self {
        Self {
            colour: Colour::of(&std::io::stdout()),
            step: done,
            steps: done + steps,
            began: Instant::now(),
        }
    }

    /// Whether colours are shown.
    #[must_use]
    pub const fn colour(&self) -> Colour {
        self.colour
    }

    /// The step that began with the end of the one before is done.
    pub fn done(&mut self, title: &str, detail: &str) {
        self.step += 1;
        let line = step(
            self.colour,
            (self.step, self.steps),
            title,
            self.began.elapsed(),
            detail,
        );
        say(&line);
        self.began = Instant::now();
    }

    /// A step whose own output tells what comes of it.
    pub fn begin(&mut self, title: &str) {
        self.step += 1;
        let number = format!("{}/{}", self.step, self.steps);
        say(&format!(
            "{}  {title}",
            self.colour.paint(Paint::Bold, &number)
        ));
        self.began = Instant::now();
    }
}

fn step(
    colour: Colour,
    (number, of): (u32, u32),
    title: &str,
    took: Duration,
    detail: &str,
) -> String {
    let number = colour.paint(Paint::Bold, &format!("{number}/{of}"));
    format!("{number}  {title:7} {:4.1} s  {detail}", took.as_secs_f64())
}

/// Writes a line to standard output. A reader that has gone must not end the run.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a complaint to standard error.
pub fn complain(text: &str) {
    let mut stderr = std::io::stderr();
    let name = Colour::of(&stderr).paint(Paint::Red, "faultline-local:");
    let _ = writeln!(stderr, "{name} {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_line_up() {
        let line = |number, title| {
            step(
                Colour::Off,
                (number, 4),
                title,
                Duration::from_millis(1240),
                "done",
            )
        };
        assert_eq!(line(1, "Check"), "1/4  Check    1.2 s  done");
        assert_eq!(line(2, "Start").find("done"), line(1, "Check").find("done"));
        assert!(step(Colour::On, (1, 4), "x", Duration::ZERO, "").starts_with("\x1b[1m1/4\x1b[0m"));
    }
}
