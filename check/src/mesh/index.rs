//! Finds the matches that may cover another without comparing it with all of them.

use std::collections::HashMap;

use super::covers;
use crate::model::{HttpMatch, TextMatch};

/// Matches without a path that can be looked up are compared one by one, this many of them.
const GENERIC: usize = 500;
/// Paths longer than this are compared by their start.
const LONGEST: usize = 256;

/// Matches by the path that they start with.
#[derive(Debug, Default)]
pub struct Covering<'a> {
    by_path: HashMap<String, Vec<usize>>,
    generic: Vec<usize>,
    all: Vec<&'a HttpMatch>,
}

impl<'a> Covering<'a> {
    /// Adds a match; its position is its number.
    pub fn add(&mut self, wide: &'a HttpMatch) {
        let number = self.all.len();
        self.all.push(wide);
        match wide.uri.as_ref().map(|it| &it.value) {
            Some(TextMatch::Exact(path) | TextMatch::Prefix(path) | TextMatch::Segments(path)) => {
                let path = path.to_lowercase();
                if path.len() <= LONGEST {
                    self.by_path.entry(path).or_default().push(number);
                }
            }
            _ => self.generic.push(number),
        }
    }

    /// The number of the first match that covers this one and that `wanted` takes.
    pub fn first(
        &self,
        narrow: &HttpMatch,
        mut wanted: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let path = match narrow.uri.as_ref().map(|it| &it.value) {
            Some(
                TextMatch::Exact(path)
                | TextMatch::Prefix(path)
                | TextMatch::Segments(path)
                | TextMatch::Regex(path),
            ) => path.trim_start_matches('^').to_lowercase(),
            _ => "/".to_owned(),
        };
        let ends = path.char_indices().map(|(start, it)| start + it.len_utf8());
        let starts = std::iter::once(0).chain(ends).take(LONGEST + 1);
        let under = starts.filter_map(|end| self.by_path.get(path.get(..end)?));
        let generic = self.generic.iter().rev().take(GENERIC);
        let mut best: Option<usize> = None;
        for number in under.flatten().chain(generic).copied() {
            let better = best.is_none_or(|best| number < best);
            let covering = |wide: &&HttpMatch| covers(wide, narrow);
            if better && wanted(number) && self.all.get(number).is_some_and(covering) {
                best = Some(number);
            }
        }
        best
    }
}
