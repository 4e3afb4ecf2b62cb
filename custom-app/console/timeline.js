// How a request went, as lanes on one time axis. Times are milliseconds since it was sent.
//
// A run: { method, again, answer, failure, polls, watching }
//   again    whether the entry was sent before, with this key
//   answer   { at, status, reason, detail, told } once there is one; `told` is from headers.js
//   failure  { at, text } when there was none
//   polls    [{ at, count, problem }] how often the entry was found at /logs, and when
//   watching whether it is still looked for
// A lane: { name, note, marks }, a mark: { kind: 'span', tone, from, to } or { kind: 'point', tone, at }.
//   A span without `to` is still going on. Tones of spans: measured, gateway, policy, wait, search, arrival;
//   of points: cut, found, missed, bad.

/** Envoy waits before retry n for a random time of up to 25 ms × (2^n − 1). */
const backoffAtMost = (retry) => 25 * (2 ** retry - 1);

const span = (tone, from, to) => ({ kind: 'span', tone, from, to });
const point = (tone, at) => ({ kind: 'point', tone, at });
const lane = (name, note, ...marks) => ({ name, note, marks });

/** A duration for people. */
function seconds(ms, digits = 2) {
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(digits)} s`;
}

/** A policy's duration: without needless digits. */
const plainly = (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);

/** A count in words. */
const counted = (count, noun, plural) =>
  `${['no', 'one', 'two', 'three', 'four', 'five'][count] ?? count} ${count === 1 ? noun : plural}`;

/**
 * From when to when each of `count` tries lasted, given that the policy cut them and the whole took
 * `total`; null if the policy cannot have led to that. Back-offs are drawn at half of what they may be.
 */
function triesByPolicy(count, total, policy) {
  const tries = [];
  let from = 0;
  let slack = 20;
  for (let n = 1; n < count; n += 1) {
    tries.push({ from, to: from + policy.perTry });
    from += policy.perTry + backoffAtMost(n) / 2;
    slack += backoffAtMost(n) / 2;
  }
  tries.push({ from, to: total });
  const last = total - from;
  const fits = count > 1 && last > 0 && last <= policy.perTry + slack;
  return fits ? tries : null;
}

/** Longer than the timeout allows, in one try, and still a success: that is the trap. */
function trapped({ answer }, policy) {
  return Boolean(answer) && answer.status < 400 && (answer.told.attempts ?? 1) === 1 && answer.at > policy.delay - 50;
}

function requestLane({ answer, failure }) {
  if (failure) return lane('this browser', `no answer: ${failure.text}`, span('measured', 0, failure.at), point('bad', failure.at));
  if (!answer) return lane('this browser', 'waiting for the answer', span('measured', 0));
  const tone = answer.status < 400 ? 'found' : 'cut';
  return lane('this browser', `${answer.status} after ${seconds(answer.at, 3)}`, span('measured', 0, answer.at), point(tone, answer.at));
}

/** The gateway's own measure, in the middle of ours: how the rest is spread before and after is not known. */
function atGateway({ at, told: { gatewayMs } }) {
  const lasted = Math.min(gatewayMs ?? at, at);
  return { from: (at - lasted) / 2, to: (at + lasted) / 2, lasted };
}

function gatewayLane({ answer }) {
  if (!answer || answer.told.gatewayMs === null) return [];
  const { from, to } = atGateway(answer);
  return [lane('the gateway', `${answer.told.outcome ?? 'an answer'} after ${seconds(answer.told.gatewayMs, 3)}, by its own clock`, span('gateway', from, to))];
}

function tryLanes({ answer }, policy) {
  if (!answer) return [];
  const { attempts, outcome } = answer.told;
  const gateway = atGateway(answer);
  if (attempts === null) return [lane('tries', 'not told: the answer has no server-timing')];
  if (outcome === 'overflow') return [lane('tries', 'refused at the gateway: too many under way')];
  const tries = outcome === 'timeout' ? triesByPolicy(attempts, gateway.lasted, policy) : null;
  if (!tries) {
    const note = attempts === 1 ? 'the only one' : 'when each began and ended is not told';
    return [lane(counted(attempts, 'try', 'tries'), note, span('policy', gateway.from, gateway.to))];
  }
  return tries.map(({ from, to }, i) => {
    const why = i + 1 < tries.length ? `its ${plainly(policy.perTry)} were over` : `the timeout of ${plainly(policy.timeout)} was over`;
    return lane(`try ${i + 1}`, `cut, ${why}`, span('policy', gateway.from + from, gateway.from + to), point('cut', gateway.from + to));
  });
}

function delayLane({ method, answer }, policy) {
  if (answer?.told.outcome !== 'timeout') return [];
  const note = method === 'POST'
    ? `custom-app has the entry on disk; its proxy holds the hand-over for ${plainly(policy.delay)}`
    : `each question is held for ${plainly(policy.delay)}; no try lived that long`;
  const { from } = atGateway(answer);
  return [lane('the delay', note, span('wait', from, from + policy.delay))];
}

/** What the polls of /logs showed: when the entry was last missing, first there, and how often at most. */
function sighting(polls) {
  const first = polls.find(({ count }) => count > 0);
  const missing = polls.findLast(({ count, at }) => count === 0 && (!first || at < first.at));
  const times = Math.max(0, ...polls.map(({ count }) => count ?? 0));
  return { first: first?.at ?? null, missing: missing?.at ?? null, times };
}

function entryLane({ method, polls, watching }) {
  if (method !== 'POST' || (!watching && !polls.length)) return [];
  const { first, missing, times } = sighting(polls);
  const marks = polls.map(({ at, count }) => point(count === null ? 'bad' : count ? 'found' : 'missed', at));
  if (first === null && watching) marks.unshift(span('search', 0));
  if (first !== null) marks.unshift(span('arrival', missing ?? 0, first));
  return [lane('the entry', entryNote(first, missing, times, polls, watching), ...marks)];
}

function entryNote(first, missing, times, polls, watching) {
  const last = polls.at(-1);
  if (first === null && last?.problem) return `/logs could not be read: ${last.problem}`;
  if (first === null) return watching ? 'not at /logs yet' : `not at /logs within ${seconds(last?.at ?? 0)}`;
  const when = missing === null ? `there at ${seconds(first)}` : `not there at ${seconds(missing)}, there at ${seconds(first)}`;
  if (times > 1) return `${when}, but ${times} times: a defect`;
  return watching ? when : `${when}, once; still once at ${seconds(last.at)}`;
}

/** The lanes of a run, in the order of the hops. */
function lanesOf(run, policy) {
  return [requestLane(run), ...gatewayLane(run), ...tryLanes(run, policy), ...delayLane(run, policy), ...entryLane(run)];
}

/** Where the axis ends: beyond all marks, at a whole step. */
function axisEnd(lanes, atLeast) {
  const times = lanes.flatMap(({ marks }) => marks.map((mark) => mark.to ?? mark.at ?? 0));
  return Math.ceil(Math.max(atLeast, ...times) / 500) * 500;
}

/** Times to label on an axis: few enough for a phone. */
function ticks(end) {
  const step = [500, 1000, 2000, 5000, 10_000, 30_000].find((size) => end / size <= 5) ?? end;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
}

/** What happened, in sentences. */
function verdict(run, policy) {
  return [answerVerdict(run, policy), entryVerdict(run)].filter(Boolean).join(' ');
}

function answerVerdict({ method, again, answer, failure }, policy) {
  if (failure) return `No answer: ${failure.text}.`;
  if (!answer) return 'Sent. Waiting for the answer …';
  const { attempts, outcome } = answer.told;
  const after = `${answer.status} ${answer.reason} after ${seconds(answer.at, 3)}`.replace('  ', ' ');
  if (outcome === 'timeout') return `${after}: ${attempts ? `${counted(attempts, 'try', 'tries')}, each cut` : 'cut'} while the next hop’s delay went on.`;
  if (outcome === 'overflow') return `${after}: the gateway has ${policy.connections} connections and ${policy.waiting} places to wait, and all are taken.`;
  if (trapped({ answer }, policy)) return `${after}: longer than the timeout of ${plainly(policy.timeout)}, yet neither cut nor retried. Delay and timeout are on one route: the trap.`;
  if (answer.status >= 400) return `${after}${answer.detail ? `: ${answer.detail}` : '.'}`;
  if (again) return `${after}: known by its key, and not taken twice.`;
  const newest = method === 'GET' && answer.detail ? ` ${answer.detail}` : '';
  const quick = answer.at < policy.perTry && attempts;
  return `${after}${quick ? `, ${counted(attempts, 'try', 'tries')}: no delay in the way` : ''}.${newest}`;
}

function entryVerdict({ method, answer, failure, polls, watching }) {
  const { first, times } = sighting(polls);
  if (method !== 'POST' || (first === null && watching)) return '';
  if (times > 1) return `The entry is at /logs ${times} times: a defect.`;
  if (first !== null) {
    const gone = failure || answer?.status >= 500;
    return `${gone ? 'The caller got an error; the entry arrived all the same' : 'The entry is stored'}: seen at ${seconds(first)}, ${watching ? 'so far once' : 'and only once'}.`;
  }
  return polls.length ? 'The entry has not been seen at /logs.' : '';
}

/** The trap as it would go: delay, timeout and retries on one route. */
function trapLanes({ delay, timeout, retries }) {
  return [
    lane('caller', `200 after ${plainly(delay)}`, span('measured', 0, delay), point('found', delay)),
    lane('fault filter', `holds the request for ${plainly(delay)}`, span('wait', 0, delay)),
    lane('router', `its ${plainly(timeout)} begin only here; the answer comes at once`, span('policy', delay, delay + 40)),
    lane('tries', `one of ${retries + 1}: nothing failed, so nothing is tried again`),
  ];
}

/** Faultline's way: the delay one hop behind the timeout. */
function hopLanes(policy) {
  const run = { method: 'GET', answer: null, polls: [] };
  run.answer = { at: policy.timeout, status: 504, told: { outcome: 'timeout', attempts: policy.retries + 1, gatewayMs: null } };
  return [
    lane('caller', `504 after ${plainly(policy.timeout)}`, span('measured', 0, policy.timeout), point('cut', policy.timeout)),
    ...tryLanes(run, policy),
    lane('next hop’s delay', `${plainly(policy.delay)}: no try lives that long`, span('wait', 0, policy.delay)),
  ];
}
