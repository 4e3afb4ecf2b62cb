// What a person does on the page, at both widths and in both colour schemes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { button, lanes, launch, open, row, run, threeTries, violations } from '../browser.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const names = (all) => all.map(({ name }) => name);
const tries = ['try 1', 'try 2', 'try 3'];

for (const [device, width, height] of [['phone', 390, 844], ['desktop', 1280, 900]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`an entry is sent and arrives: ${device}, ${colorScheme}`, async () => {
      const { page, complaints, statuses } = await open(browser, { width, height, colorScheme });
      await page.getByText(/^custom-app .*: ok$/).waitFor();
      assert.deepEqual(await violations(page), [], 'before a run');

      await page.getByLabel('Message').fill(`from a ${device}`);
      await page.getByLabel('Level').selectOption('warn');
      const shown = await threeTries(page, button.send(page));
      const answered = await lanes(shown);
      assert.deepEqual(names(answered), ['this browser', 'the gateway', ...tries, 'the delay', 'the entry']);
      for (const lane of answered.slice(2, 5)) assert.deepEqual(lane.marks, ['span policy', 'point cut'], lane.name);
      await run(page, /arrived all the same: seen at .*, and only once/);

      const texts = await (await row(page, shown)).locator('b, .message').allTextContents();
      assert.equal(texts[0], 'warn');
      assert.match(texts[1], new RegExp(`^from a ${device} \\[[0-9a-f]{8}\\]$`));

      const [total, end] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(total <= end, `the page is ${total} px wide in a window of ${end}`);
      assert.deepEqual(await violations(page), [], 'after a run');
      assert.deepEqual(complaints, []);
      assert.ok(statuses.length > 0 && statuses.every((status) => status === 504), String(statuses));
      await page.context().close();
    });
  }
}

test('an entry that got an error is sent again with its key, and is one entry', async () => {
  const keys = [];
  const { page, complaints } = await open(browser, {
    before: (page) => page.on('request', (request) => { if (request.method() === 'POST') keys.push(request.headers()['idempotency-key']); }),
  });
  const first = await threeTries(page, button.send(page));
  await run(page, /only once/);
  assert.deepEqual(await violations(page), [], 'with the button');
  const sent = await first.getByRole('heading').textContent();
  await button.again(page).first().click();
  const shown = await run(page, /^201 Created after .*known by its key, and not taken twice\. The entry is stored: .* and only once/);
  assert.equal(await shown.getByRole('heading').textContent(), sent.replace('/log ', '/log again: '));
  assert.equal(await shown.getByRole('button').count(), 0, 'what is known to be stored need not be sent again');
  assert.match(keys.at(-1), /^[0-9a-f]{32}$/);
  assert.equal(keys.at(-1), keys.at(-2));

  await button.send(page).click();
  await run(page, /504/);
  assert.notEqual(keys.at(-1), keys.at(-2), 'another entry has another key');
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('the newest entry is asked for: three tries, and nobody is left who waits', async () => {
  const { page, complaints } = await open(browser);
  const all = await lanes(await threeTries(page, button.ask(page)));
  assert.deepEqual(names(all), ['this browser', 'the gateway', ...tries, 'the delay']);
  assert.match(await page.locator('.headers').textContent(), /server-timing: .*attempts.*proxy-status: .*http_response_timeout/);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('a keyboard is enough, and where it is can be seen', async () => {
  const { page } = await open(browser);
  const focus = () => page.evaluate(() => {
    const { outlineStyle } = getComputedStyle(document.activeElement);
    return { what: document.activeElement.textContent.trim() || document.activeElement.id, outlineStyle };
  });
  const tab = async (what) => {
    await page.keyboard.press('Tab');
    const now = await focus();
    assert.match(now.what, what);
    assert.notEqual(now.outlineStyle, 'none', `no focus to be seen at ${now.what}`);
  };
  await tab(/Skip to the requests/);
  await page.keyboard.press('Enter');
  await tab(/message/);
  await page.keyboard.press('Control+A');
  await page.keyboard.type('by keyboard');
  await tab(/warn/);
  await page.keyboard.press('e');
  await tab(/Send entry/);
  await page.keyboard.press('Enter');
  await run(page, /504/);
  const shown = page.getByRole('article', { name: 'POST /log' });
  assert.match(await shown.getByRole('heading').textContent(), /POST \/log by keyboard/);
  await tab(/Ask for the newest/);
  await page.keyboard.press('Space');
  await page.getByRole('article', { name: 'GET /log' }).locator('.verdict').filter({ hasText: '504' }).waitFor();
  assert.equal(await (await row(page, shown)).locator('b').textContent(), 'error');
  await page.context().close();
});

test('a screen reader finds its way and hears what happens', async () => {
  const { page } = await open(browser, { reducedMotion: 'reduce' });
  for (const name of ['The way of a request', 'Try it', 'Newest entries', 'The trap: delay and timeout on one route', 'By hand']) {
    await page.getByRole('region', { name }).waitFor();
  }
  await page.getByRole('banner').waitFor();
  await page.getByRole('main').waitFor();
  await button.send(page).click();
  await page.getByRole('status').filter({ hasText: '504 Gateway Timeout' }).waitFor({ state: 'attached' });
  await page.getByRole('status').filter({ hasText: 'only once' }).waitFor({ state: 'attached' });
  await page.locator('#entries .new').first().waitFor();
  assert.equal(await page.locator('#entries .new').first().evaluate((row) => getComputedStyle(row).animationName), 'none');
  await page.context().close();
});
