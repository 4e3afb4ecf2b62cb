//! How a request ended: one word, by one stated precedence.

use crate::flags::Flags;

/// How a request ended. The names are metric label values and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered with less than 400.
    Ok,
    /// Answered with 4xx.
    ClientError,
    /// Answered with 5xx, by the upstream or by a filter.
    UpstreamError,
    /// No answer in time.
    Timeout,
    /// Failed on every try that was allowed.
    RetriesExhausted,
    /// Refused by a circuit breaker or another limit on load.
    Overflow,
    /// No whole answer could be had from the upstream.
    Unreachable,
    /// The client left before its answer was complete.
    ClientGone,
    /// Refused by a rate limit.
    RateLimited,
    /// Aborted by an injected fault.
    FaultAbort,
}

impl Outcome {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::ClientError,
        Self::UpstreamError,
        Self::Timeout,
        Self::RetriesExhausted,
        Self::Overflow,
        Self::Unreachable,
        Self::ClientGone,
        Self::RateLimited,
        Self::FaultAbort,
    ];

    /// Its name in metrics, headers and access logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Overflow => "overflow",
            Self::Unreachable => "unreachable",
            Self::ClientGone => "client_gone",
            Self::RateLimited => "rate_limited",
            Self::FaultAbort => "fault_abort",
        }
    }

    /// The outcome of an exchange with these flags and this status (`None` or 0: never answered).
    ///
    /// The first row of [`PRECEDENCE`] with a flag in common decides, else the status. No flag
    /// and no status means that nobody waited for one: the client is gone.
    pub fn of(flags: Flags, status: Option<u16>) -> Self {
        let by_flag = PRECEDENCE.iter().find(|(any, _)| flags.intersects(*any));
        match (by_flag, status) {
            (Some((_, outcome)), _) => *outcome,
            (None, None | Some(0)) => Self::ClientGone,
            (None, Some(..400)) => Self::Ok,
            (None, Some(400..500)) => Self::ClientError,
            (None, Some(500..)) => Self::UpstreamError,
        }
    }
}

/// Which flag decides when several are set; the first match wins.
///
/// - A fault or a rate limit answers before anything is sent, so nothing else can be the cause.
/// - A timeout comes before used-up retries: when each try timed out both flags are set, and
///   time is what was missing.
/// - Used-up retries come before the failure of the last try: they are why the caller saw it,
///   and the flags in `proxy-status` still tell which failure it was.
/// - What went wrong before the client left is why it left, so `client_gone` comes last.
pub const PRECEDENCE: [(Flags, Outcome); 8] = [
    (Flags::FI, Outcome::FaultAbort),
    (any(&[Flags::RL, Flags::RLSE]), Outcome::RateLimited),
    (
        any(&[Flags::UT, Flags::SI, Flags::UMSDR, Flags::DT]),
        Outcome::Timeout,
    ),
    (Flags::URX, Outcome::RetriesExhausted),
    (
        any(&[Flags::UO, Flags::OM, Flags::DO, Flags::UDO]),
        Outcome::Overflow,
    ),
    (
        any(&[
            Flags::LH,
            Flags::UH,
            Flags::LR,
            Flags::UR,
            Flags::UF,
            Flags::UC,
            Flags::NR,
            Flags::NC,
            Flags::DF,
            Flags::UPE,
        ]),
        Outcome::Unreachable,
    ),
    (Flags::DPE, Outcome::ClientError),
    (any(&[Flags::DC, Flags::DR]), Outcome::ClientGone),
];

/// The union of some flags, usable in a constant.
const fn any(flags: &[Flags]) -> Flags {
    let mut union = 0;
    let mut rest = flags;
    while let [first, tail @ ..] = rest {
        union |= first.0;
        rest = tail;
    }
    Flags(union)
}
