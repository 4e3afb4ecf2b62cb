// Chromium, and pages that remember what went wrong in them.
import axe from 'axe-core';
import { chromium } from 'playwright-core';

export const base = new URL(process.env.BASE_URL ?? 'http://no-base-url.invalid/').origin;

/** How long a condition may take to come true; the longest is an entry behind a busy outbox. */
const PATIENCE = 30_000;

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
});

/** What Chromium itself notes about every answer that is an error; the page cannot prevent it. */
const ofStatus = /^Failed to load resource: the server responded with a status of (\d+)/;

/**
 * An open console. `complaints` are errors of the page and requests to elsewhere; `statuses` the
 * error statuses that the browser noted.
 */
export async function open(browser, { width = 1280, height = 900, before = async () => {}, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  const statuses = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const status = ofStatus.exec(message.text())?.[1];
    if (status) statuses.push(Number(status));
    else if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== base && url.protocol !== 'data:') complaints.push(`asks ${url}`);
  });
  await before(page);
  const response = await page.goto(`${base}/`);
  return { page, response, complaints, statuses };
}

export const button = {
  send: (page) => page.getByRole('button', { name: 'Send entry' }),
  again: (page) => page.getByRole('button', { name: 'Send it again with its key' }),
  ask: (page) => page.getByRole('button', { name: 'Ask for the newest' }),
};

/** The newest run, once its verdict says this; what it says instead is in the error. */
export async function run(page, wanted) {
  const shown = page.getByRole('article').first();
  const verdict = shown.locator('.verdict');
  await verdict.filter({ hasText: wanted }).waitFor().catch(async (error) => {
    throw new Error(`the run says: ${await verdict.textContent({ timeout: 1000 }).catch(() => 'nothing')}`, { cause: error });
  });
  return shown;
}

/**
 * Presses a button and gives the run once it was cut in three tries. The third begins about 150 ms before
 * the timeout, so a machine that stalls for so long leaves only two: then, and only then, again.
 */
export async function threeTries(page, pressed, presses = 3) {
  await pressed.click();
  const shown = await run(page, presses > 1 ? /^504 .*(two|three) tries/ : /^504 .*three tries/);
  const twice = (await shown.locator('.verdict').textContent()).includes('two tries');
  return twice ? threeTries(page, pressed, presses - 1) : shown;
}

/** The row of a run's entry among the newest entries, once it is there. */
export async function row(page, shown) {
  const [token] = /\[[0-9a-f]{8}\]$/.exec(await shown.getByRole('heading').textContent());
  const found = page.locator('#entries li').filter({ hasText: token });
  await found.waitFor();
  return found;
}

/** The lanes of a run or a figure: `[{name, note, marks: [class, …]}, …]`. */
export const lanes = (shown) => shown.locator('.lanes > li:not(.axis)').evaluateAll((all) => all.map((lane) => ({
  name: lane.querySelector('.name').textContent,
  note: lane.querySelector('.note').textContent,
  marks: [...lane.querySelectorAll('.track i')].map((mark) => mark.className),
})));

/** Violations that axe-core finds, each in one line. */
export async function violations(page) {
  await page.evaluate(axe.source);
  const results = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return results.violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`));
}
