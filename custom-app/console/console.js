// The page: asks, measures, and hands what it learnt to timeline.js and draw.js.

const find = (selector) => document.querySelector(selector);
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });
const calm = matchMedia('(prefers-reduced-motion: reduce)');

const visible = () => (document.visibilityState === 'visible' ? Promise.resolve()
  : new Promise((done) => { document.addEventListener('visibilitychange', done, { once: true }); }));

/** Asks the gateway; an answer of any status is one. */
async function ask(path, options = {}) {
  const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(30_000), ...options });
  return { response, body: await response.text() };
}

/** JSON where the text is JSON, else null. */
function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Asks for JSON and gives it; else throws a reason for people. */
async function askJson(path) {
  const { response, body } = await ask(path).catch((error) => { throw new Error(why(error)); });
  const value = json(body);
  if (response.ok && value) return value;
  throw new Error([response.status, response.statusText, value?.detail].filter(Boolean).join(' '));
}

/** Why a fetch failed, for people. */
function why(error) {
  return error.name === 'TimeoutError' ? 'nothing within 30 s' : 'the gateway cannot be reached';
}

/** An answer's body in one short line. */
function detailOf(method, status, body) {
  const value = json(body);
  if (value?.detail) return value.detail;
  if (method === 'GET' && status === 200) return value?.entry ? `The newest entry: “${value.entry.message.slice(0, 80)}”` : 'There is no entry yet.';
  return value ? '' : body.trim().slice(0, 200);
}

// ---- One request and what becomes of it ----

/** Sends a run's request and measures the answer. */
async function exchange(run) {
  const { method } = run;
  const body = method === 'POST' ? JSON.stringify({ message: run.message, level: run.level }) : undefined;
  try {
    const headers = body ? { 'content-type': 'application/json', 'idempotency-key': run.key } : {};
    const response = await fetch('/log', { method, body, headers, cache: 'no-store', signal: AbortSignal.timeout(30_000) });
    const at = run.now();
    const text = await response.text();
    const timing = response.headers.get('server-timing');
    const proxy = response.headers.get('proxy-status');
    const detail = detailOf(method, response.status, text);
    run.headers = { 'server-timing': timing, 'proxy-status': proxy };
    run.answer = { at, status: response.status, reason: response.statusText, detail, told: told(timing, proxy) };
  } catch (error) {
    run.failure = { at: run.now(), text: why(error) };
  }
}

/** Looks for a run's entry until it is there, and once more when no late try could double it. */
async function watch(run) {
  const settled = POLICY.timeout + POLICY.delay + 500;
  for (let gap = 200; run.watching;) {
    await sleep(gap);
    if (!run.watching) return;
    const at = run.now();
    const poll = { at, count: null, problem: null };
    try {
      poll.count = await countOf(run.token);
      poll.at = poll.count ? run.now() : at;   // missing when asked; there when answered
    } catch (error) {
      poll.problem = error.message;
    }
    run.polls.push(poll);
    gap = poll.count ? 1000 : Math.min(gap * 1.1, 2000);
    run.watching = goesOn(run, settled);
    run.changed();
  }
}

/** How often a token is at /logs. A page may be empty and yet name a next one; a few hold all that is new. */
async function countOf(q) {
  const query = new URLSearchParams({ q });
  let count = 0;
  for (let page = 0; page < 5; page += 1) {
    const { entries, next } = await askJson(`/logs?${query}`);
    count += entries.length;
    if (!next) break;
    query.set('after', next);
  }
  return count;
}

/** Whether there is still something to look for. */
function goesOn({ answer, polls, now }, settled) {
  if (answer?.status >= 400 && answer.status < 500) return false;
  const { first } = sighting(polls);
  if (first !== null) return polls.at(-1).at < Math.max(settled, first + 1000);
  return now() < (answer?.status === 503 ? 10_000 : 60_000);
}

/** A token that nothing else has. (Not randomUUID: that one is only there over HTTPS.) */
function token(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The element that shows a run, newest on top; the last few stay. */
function runElement(run, number) {
  const runs = find('#runs');
  const what = run.method === 'POST' ? run.message : 'the newest entry';
  const shown = element('article', {},
    element('h3', { id: `run-${number}` }, element('code', {}, `${run.method} /log`), run.again ? ' again: ' : ' ', element('span', {}, what)),
    element('p', { className: 'verdict' }),
    element('button', { type: 'button', hidden: true, onclick: () => sendAgain(run) }, 'Send it again with its key'),
    element('ul', { className: 'lanes' }),
    element('p', { className: 'headers' }));
  shown.setAttribute('aria-labelledby', `run-${number}`);
  runs.prepend(shown);
  while (runs.children.length > 6) runs.lastChild.remove();
  return shown;
}

/** Redraws a run whenever something changed. */
function show(run, number) {
  const shown = runElement(run, number);
  const list = shown.querySelector('ul');
  let end = 0;
  run.changed = () => {
    const lanes = lanesOf(run, POLICY);
    end = axisEnd(lanes, Math.max(run.now() * (run.answer || run.failure ? 0 : 1), POLICY.delay + (run.method === 'POST' ? 2000 : 500)));
    drawLanes(list, lanes, end);
    growOpenMarks(list, run.now(), end);
    shown.querySelector('.verdict').textContent = verdict(run, POLICY);
    shown.querySelector('button').hidden = !isUnsure(run);
    shown.querySelector('.headers').replaceChildren(...headerLines(run.headers));
  };
  const frame = () => {
    if (!list.querySelector('.open')) return;
    if (run.now() > end) run.changed();
    growOpenMarks(list, run.now(), end);
    setTimeout(() => requestAnimationFrame(frame), calm.matches ? 250 : 0);
  };
  run.changed();
  frame();
}

/** The headers of which the drawing was made, as received. */
function headerLines(headers = {}) {
  return Object.entries(headers).map(([name, value]) => element('code', {}, `${name}: ${value ?? '(absent)'}`));
}

/** Whether an entry may have been accepted or not. */
const isUnsure = ({ key, answer, failure }) => key && (failure || [503, 504].includes(answer?.status));

/** The same entry with the same key. */
const sendAgain = ({ method, token, message, level, key }) => start({ method, token, message, level, key, again: true });

let runs = 0;
let busy = false;

/** One request from button to drawing; one at a time, else the browser's queue would be measured. */
async function start(run) {
  if (busy) return;
  setBusy(true);
  const began = performance.now();
  Object.assign(run, { now: () => performance.now() - began, polls: [], watching: run.method === 'POST' });
  runs += 1;
  find('#none')?.remove();
  show(run, runs);
  say('Sent.');
  const watched = run.watching ? watch(run) : Promise.resolve();
  await exchange(run);
  setBusy(false);
  run.watching &&= goesOn(run, Infinity);
  run.changed();
  say(verdict(run, POLICY));
  await watched;
  if (run.method === 'POST') say(verdict(run, POLICY));
  entries.wake();
  statuses.wake();
}

function setBusy(now) {
  busy = now;
  for (const button of document.querySelectorAll('button')) button.setAttribute('aria-disabled', String(now));
}

/** For who listens instead of looking. */
function say(text) {
  find('#say').textContent = text;
}

// ---- What is asked again and again ----

/** Repeats a task while the page is visible: soon after a change, more rarely without one. */
function repeat(task, shortest, longest) {
  let wake = () => {};
  let gap = shortest;
  (async () => {
    for (;;) {
      await visible();
      gap = (await task()) ? shortest : Math.min(gap * 1.5, longest);
      await Promise.race([sleep(gap), new Promise((done) => { wake = done; })]);
    }
  })();
  return { wake: () => { gap = shortest; wake(); } };
}

let newest = null;

/** Shows the newest entries; true if there was a new one. */
async function refreshEntries() {
  try {
    const { entries: page } = await askJson('/logs?limit=12');
    drawEntries(find('#entries'), page);
    find('#live').textContent = page.length ? 'live, asked every 2 to 15 seconds' : 'none yet';
    const changed = page[0]?.id !== newest;
    newest = page[0]?.id;
    return changed;
  } catch (error) {
    find('#live').textContent = `not read: ${error.message}; trying again`;
    return false;
  }
}

const instances = new Map();

/** Shows the instances that answered lately: the gateway chooses which one does. */
async function refreshStatus() {
  try {
    const status = await askJson('/status');
    const known = instances.has(status.source);
    instances.set(status.source, { ...status, seen: performance.now() });
    for (const [name, { seen }] of instances) if (performance.now() - seen > 90_000) instances.delete(name);
    const rows = [...instances.values()].sort((a, b) => (a.source < b.source ? -1 : 1));
    find('#instances').replaceChildren(...rows.map(drawInstance));
    find('#health').textContent = `custom-app ${status.version}: ${status.status}`;
    return !known;
  } catch (error) {
    find('#health').textContent = `no status: ${error.message}; trying again`;
    return false;
  }
}

const shownPolicy = { ...POLICY, tries: POLICY.retries + 1 };
for (const place of document.querySelectorAll('[data-policy], [data-count], [data-yaml]')) {
  const { policy, count, yaml } = place.dataset;
  place.textContent = policy ? plainly(shownPolicy[policy]) : count ? shownPolicy[count] : plainly(shownPolicy[yaml]).replace(' ', '');
}
for (const place of document.querySelectorAll('[data-origin]')) place.textContent = location.origin;
drawLanes(find('#trap-lanes'), trapLanes(POLICY), POLICY.delay + 500);
drawLanes(find('#hop-lanes'), hopLanes(POLICY), POLICY.delay + 500);

const entries = repeat(refreshEntries, 2000, 15_000);
const statuses = repeat(refreshStatus, 2000, 15_000);

find('#send').addEventListener('submit', (event) => {
  event.preventDefault();
  const mark = token(4);
  start({ method: 'POST', key: token(16), token: mark, message: `${find('#message').value} [${mark}]`, level: find('#level').value });
});
find('#ask').addEventListener('click', () => start({ method: 'GET' }));
