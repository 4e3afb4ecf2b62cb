// What the page does when things are not as they should be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { base, button, lanes, launch, open, run } from '../browser.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('without the filter’s headers, it says so and makes nothing up', async () => {
  const strip = async (route) => {
    const response = await route.fetch();
    const headers = response.headers();
    delete headers['server-timing'];
    delete headers['proxy-status'];
    await route.fulfill({ response, headers });
  };
  const { page, complaints } = await open(browser, { before: (page) => page.route('**/log', strip) });
  await button.ask(page).click();
  const shown = await run(page, /504 Gateway Timeout after/);
  assert.deepEqual(await lanes(shown).then((all) => all.map(({ name, note }) => [name, /not told/.test(note)])),
    [['this browser', false], ['tries', true]]);
  assert.match(await shown.locator('.headers').textContent(), /server-timing: \(absent\)/);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('a gateway that cannot be reached is told, and is found again', async () => {
  const { page } = await open(browser);
  const live = page.locator('#live');
  await live.filter({ hasText: /^(live|none yet)$/ }).waitFor();
  await page.context().setOffline(true);
  await button.ask(page).click();
  await run(page, 'No answer: the gateway cannot be reached.');
  await live.filter({ hasText: 'the gateway cannot be reached; trying again' }).waitFor();
  await page.context().setOffline(false);
  await live.filter({ hasText: /^(live|none yet)$/ }).waitFor();
  await page.context().close();
});

test('a full gateway is told as what it is', async () => {
  const { page, complaints } = await open(browser);
  const crowd = Array.from({ length: 40 }, () => fetch(`${base}/log`).then(({ status }) => status));
  assert.equal(await Promise.race(crowd), 503, 'the first of 40 answers is a refusal');
  await button.ask(page).click();
  const shown = await run(page, /503 Service Unavailable after .*3 connections and 5 places to wait/);
  assert.match((await lanes(shown)).at(-1).note, /too many/);
  assert.ok((await Promise.all(crowd)).includes(504));
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('what the service refuses is told in its own words', async () => {
  const { page } = await open(browser);
  // The field is limited in characters, the service in bytes: the limit is lifted to meet the service's.
  await page.getByLabel('Message').evaluate((field) => field.removeAttribute('maxlength'));
  await page.getByLabel('Message').fill('x'.repeat(61_440));
  await button.send(page).click();
  const shown = await run(page, /400 Bad Request after .*message: must be at most 61440 bytes/);
  assert.match(await shown.locator('.verdict').textContent(), /message/);
  await page.context().close();
});

test('text stays text', async () => {
  const { page, complaints } = await open(browser);
  const hostile = '<img src=x onerror=alert(1)><b>bold</b>';
  await page.getByLabel('Message').fill(hostile);
  await button.send(page).click();
  await page.locator('#entries .message').filter({ hasText: hostile }).first().waitFor();
  assert.equal(await page.locator('#entries img, #runs img, #entries .message b').count(), 0);
  assert.deepEqual(complaints, []);
  await page.context().close();
});
