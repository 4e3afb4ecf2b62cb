//! The history of a set of `POST /log`, judged: the promise that each answer made against the store.
//!
//! Entries are counted by message, because messages are the callers': the store could not hold one id
//! twice, yet it would hold an entry twice that came to it under two ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cases::sightings::mark;
use crate::exchange::Reply;

/// The number of times that an entry is stored, as its caller may infer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Exactly once.
    Once,
    /// Once or not at all.
    AtMostOnce,
    /// Not at all.
    Never,
}

impl Promise {
    /// The promise of an answer at the gateway; none where no answer of this kind is expected.
    ///
    /// 201 and 202 say that the entry is on a disk. A 504, a 502 or no answer says that nobody waits any longer.
    /// A 503 is a refusal only where the gateway's own limits turned the first try away: no try has reached
    /// custom-app then. After more than one try, or where the 503 came from further inside, an earlier try may
    /// have been accepted.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::NoAnswer { .. } => return Some(Self::AtMostOnce),
        };
        let turned_away = || {
            let hop = mark(answer).ok()?;
            let detail = |key: &str| hop.details.get(key).map(String::as_str);
            let first = detail("outcome") == Some("overflow") && detail("attempts") == Some("1");
            first.then_some(Self::Never)
        };
        match answer.status {
            201 | 202 => Some(Self::Once),
            503 => Some(turned_away().unwrap_or(Self::AtMostOnce)),
            502 | 504 => Some(Self::AtMostOnce),
            _ => None,
        }
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stored {
    /// Its id.
    pub(super) id: String,
    /// Its message.
    pub(super) message: String,
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Every message that was posted, no two alike, with the promise of the answer.
    pub(super) posted: BTreeMap<String, Promise>,
    /// The ids that custom-app logged as accepted.
    pub(super) logged: BTreeSet<String>,
    /// The entries at `/logs` in the end.
    pub(super) stored: Vec<Stored>,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// Told 201 or 202, and not stored.
    Lost { message: String },
    /// Logged as accepted, and not stored.
    LostAfterLog { id: String },
    /// Stored more than once, under these ids.
    Doubled { message: String, ids: Vec<String> },
    /// Turned away, and stored.
    Refused { message: String },
    /// Stored, and not posted by anybody.
    Unposted { message: String },
}

impl History {
    /// Every promise that was not kept.
    pub(super) fn breaches(&self) -> Vec<Breach> {
        let mut ids: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for entry in &self.stored {
            ids.entry(&entry.message)
                .or_default()
                .push(entry.id.clone());
        }
        let mut breaches = Vec::new();
        for (message, promise) in &self.posted {
            let message = message.clone();
            let ids = ids.remove(message.as_str()).unwrap_or_default();
            match (promise, ids.len()) {
                (Promise::Never | Promise::AtMostOnce, 0)
                | (Promise::AtMostOnce | Promise::Once, 1) => {}
                (Promise::Once, 0) => breaches.push(Breach::Lost { message }),
                (Promise::Never, _) => breaches.push(Breach::Refused { message }),
                (Promise::AtMostOnce | Promise::Once, _) => {
                    breaches.push(Breach::Doubled { message, ids });
                }
            }
        }
        let unposted = ids.into_keys().map(ToOwned::to_owned);
        breaches.extend(unposted.map(|message| Breach::Unposted { message }));
        let stored: BTreeSet<&str> = self.stored.iter().map(|entry| entry.id.as_str()).collect();
        let lost = self
            .logged
            .iter()
            .filter(|id| !stored.contains(id.as_str()));
        breaches.extend(lost.map(|id| Breach::LostAfterLog { id: id.clone() }));
        breaches
    }

    /// The number of messages with this promise.
    pub(super) fn promised(&self, promise: Promise) -> usize {
        self.posted.values().filter(|it| **it == promise).count()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { message } => write!(f, "told 201 or 202 and not stored: {message}"),
            Self::LostAfterLog { id } => write!(f, "logged as accepted and not stored: {id}"),
            Self::Doubled { message, ids } => {
                write!(
                    f,
                    "stored {} times ({}): {message}",
                    ids.len(),
                    ids.join(", ")
                )
            }
            Self::Refused { message } => {
                write!(f, "told 503 at the first try, yet stored: {message}")
            }
            Self::Unposted { message } => write!(f, "stored, yet nobody posted it: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Answer;

    fn history(posted: &[(&str, Promise)], logged: &[&str], stored: &[(&str, &str)]) -> History {
        let owned = |text: &&str| (*text).to_owned();
        History {
            posted: posted
                .iter()
                .map(|(message, promise)| (owned(message), *promise))
                .collect(),
            logged: logged.iter().map(owned).collect(),
            stored: stored
                .iter()
                .map(|(id, message)| Stored {
                    id: owned(id),
                    message: owned(message),
                })
                .collect(),
        }
    }

    #[test]
    fn a_whole_history_has_no_breach() {
        let whole = history(
            &[
                ("told", Promise::Once),
                ("gave up", Promise::AtMostOnce),
                ("gave up too", Promise::AtMostOnce),
                ("turned away", Promise::Never),
            ],
            &["1", "2"],
            &[("1", "told"), ("2", "gave up")],
        );
        assert_eq!(whole.breaches(), []);
        assert_eq!(whole.promised(Promise::AtMostOnce), 2);
    }

    #[test]
    fn what_was_promised_and_is_missing_is_lost() {
        let message = "told".to_owned();
        let missing = history(&[("told", Promise::Once)], &[], &[]);
        assert_eq!(missing.breaches(), [Breach::Lost { message }]);
        // its caller was promised nothing, but custom-app's log was
        let logged = history(&[("gave up", Promise::AtMostOnce)], &["1"], &[]);
        let id = "1".to_owned();
        assert_eq!(logged.breaches(), [Breach::LostAfterLog { id }]);
    }

    /// The one that no count by id can see.
    #[test]
    fn a_message_under_a_second_id_is_a_double() {
        for promise in [Promise::Once, Promise::AtMostOnce] {
            let doubled = history(&[("m", promise)], &["1"], &[("1", "m"), ("2", "m")]);
            let breach = Breach::Doubled {
                message: "m".to_owned(),
                ids: vec!["1".to_owned(), "2".to_owned()],
            };
            assert_eq!(doubled.breaches(), [breach]);
        }
    }

    #[test]
    fn what_was_turned_away_is_not_stored() {
        let refused = history(&[("m", Promise::Never)], &["1"], &[("1", "m")]);
        let message = "m".to_owned();
        assert_eq!(refused.breaches(), [Breach::Refused { message }]);
    }

    #[test]
    fn what_nobody_posted_is_not_stored() {
        let invented = history(&[("m", Promise::Once)], &[], &[("1", "m"), ("2", "other")]);
        let message = "other".to_owned();
        assert_eq!(invented.breaches(), [Breach::Unposted { message }]);
    }

    fn answer(status: u16, details: &str) -> Reply {
        let mark = format!("faultline; error=connection_limit_reached; details=\"{details}\"");
        Reply::Answer(Answer {
            status,
            headers: vec![("proxy-status".to_owned(), mark)],
            ..Answer::default()
        })
    }

    #[test]
    fn each_answer_has_its_promise() {
        let gone = Reply::NoAnswer {
            error: "timeout".to_owned(),
            elapsed_ms: 150,
        };
        for (reply, promise) in [
            (answer(201, "outcome=ok attempts=1"), Some(Promise::Once)),
            (answer(202, "outcome=ok attempts=1"), Some(Promise::Once)),
            (
                answer(504, "outcome=timeout attempts=3 flags=UT"),
                Some(Promise::AtMostOnce),
            ),
            (gone, Some(Promise::AtMostOnce)),
            (
                answer(503, "outcome=overflow attempts=1 flags=UO"),
                Some(Promise::Never),
            ),
            // an earlier try may be in
            (
                answer(503, "outcome=overflow attempts=2 flags=UO"),
                Some(Promise::AtMostOnce),
            ),
            // its connection ended: after custom-app had read it, perhaps
            (
                answer(503, "outcome=unreachable attempts=1 flags=UC"),
                Some(Promise::AtMostOnce),
            ),
            // custom-app's own: perhaps of the last of several tries
            (
                answer(503, "outcome=upstream_error attempts=3"),
                Some(Promise::AtMostOnce),
            ),
            (answer(400, "outcome=client_error attempts=1"), None),
            (answer(500, "outcome=upstream_error attempts=1"), None),
        ] {
            assert_eq!(Promise::of(&reply), promise, "{reply:?}");
        }
        let unmarked = Reply::Answer(Answer {
            status: 503,
            ..Answer::default()
        });
        assert_eq!(Promise::of(&unmarked), Some(Promise::AtMostOnce));
    }
}
