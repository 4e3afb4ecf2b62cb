// What the page does when things are not as they should be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { base, button, lanes, launch, open, row, run, violations } from '../browser.js';

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
  await live.filter({ hasText: /^live|^none yet/ }).waitFor();
  await page.context().setOffline(true);
  await button.ask(page).click();
  await run(page, 'No answer: the gateway cannot be reached.');
  await live.filter({ hasText: 'the gateway cannot be reached; trying again' }).waitFor();
  await page.context().setOffline(false);
  await live.filter({ hasText: /^live|^none yet/ }).waitFor();
  await page.context().close();
});

test('an entry without an answer is sent again once the gateway is back, and is one entry', async () => {
  const { page } = await open(browser);
  await page.context().setOffline(true);
  await button.send(page).click();
  const first = await run(page, /^No answer: the gateway cannot be reached/);
  await page.context().setOffline(false);
  await first.getByRole('button', { name: 'Send it again with its key' }).click();
  await run(page, /^504 .*arrived all the same: .*only once/);
  await page.context().close();
});

test('a page of /logs that is empty and goes on is followed', async () => {
  const rest = 'opaque & odd';
  const { page } = await open(browser, { before: (page) => page.route('**/logs?*q=*', async (route) => {
    const url = new URL(route.request().url());
    if (!url.searchParams.has('after')) return route.fulfill({ json: { entries: [], next: rest } });
    assert.equal(url.searchParams.get('after'), rest);
    url.searchParams.delete('after');
    return route.continue({ url: String(url) });
  }) });
  await button.send(page).click();
  await run(page, /and only once/);
  await page.context().close();
});

/** Callers who fill the gateway's connections and its waiting room until they are told to go home. */
function crowd(size) {
  const seen = new Set();
  let going = true;
  const caller = async () => {
    while (going) {
      seen.add(await fetch(`${base}/log`).then(async (response) => { await response.text(); return response.status; }));
      await pause(20);   // a pace: whoever is refused would else ask thousands of times a second
    }
  };
  const callers = Array.from({ length: size }, caller);
  return { seen, goHome: () => { going = false; return Promise.all(callers); } };
}

test('a full gateway is told as what it is', async () => {
  const { page, complaints } = await open(browser);
  const others = crowd(24);
  // A place may come free just when the page asks; it cannot do so every time.
  const asked = page.getByRole('article').first().locator('.verdict').filter({ hasText: /after/ });
  let verdict;
  for (let time = 0; time < 5 && !verdict?.startsWith('503'); time += 1) {
    await button.ask(page).click();
    await asked.waitFor();
    verdict = await asked.textContent();
  }
  await others.goHome();
  assert.match(verdict, /^503 Service Unavailable after .*3 connections and 5 places to wait/);
  assert.match((await lanes(page.locator('article', { hasText: '503' }).first())).at(-1).note, /too many/);
  assert.deepEqual([...others.seen].sort(), [503, 504]);
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
  const stored = await row(page, await run(page, /504/));
  assert.ok((await stored.locator('.message').textContent()).startsWith(hostile));
  assert.equal(await page.locator('#entries img, #runs img, #entries .message b').count(), 0);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('the policy is in force: nothing is run, styled, asked or parsed beside it', async () => {
  const { page } = await open(browser);
  const refused = await page.evaluate(async () => {
    const directives = [];
    document.addEventListener('securitypolicyviolation', (event) => directives.push(event.effectiveDirective));
    const attempts = [
      () => document.head.append(Object.assign(document.createElement('style'), { textContent: 'body { margin: 9px }' })),
      () => document.body.setAttribute('style', 'margin: 9px'),
      () => document.body.append(Object.assign(document.createElement('img'), { src: '/status' })),
      () => fetch('http://127.0.0.1:9/'),
      () => { document.body.insertAdjacentHTML('beforeend', '<b>bold</b>'); },
    ];
    for (const attempt of attempts) {
      const reported = new Promise((done) => { document.addEventListener('securitypolicyviolation', done, { once: true }); });
      try { await attempt(); } catch { /* refused, as it should be */ }
      await reported;
    }
    return directives;
  });
  assert.deepEqual(refused, ['style-src-elem', 'style-src-attr', 'img-src', 'connect-src', 'require-trusted-types-for']);
  await page.context().close();
});

test('the accessibility check would find something', async () => {
  const { page } = await open(browser);
  await page.evaluate(() => {
    document.querySelector('#hint').style.color = 'color-mix(in srgb, var(--ink) 20%, var(--paper))';
    document.querySelector('#message').parentElement.replaceWith(document.querySelector('#message'));
  });
  const found = (await violations(page)).map((line) => line.split(':')[0]);
  for (const rule of ['color-contrast', 'label']) assert.ok(found.includes(rule), `${rule} among ${found}`);
  await page.context().close();
});
