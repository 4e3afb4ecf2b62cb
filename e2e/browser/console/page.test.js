// The page as it comes over the wire.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { base } from '../browser.js';

const get = (accept) => fetch(`${base}/`, { headers: { accept } });
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

test('a terminal gets text', async () => {
  const response = await get('*/*');
  assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
  const text = await response.text();
  assert.match(text, /POST \/log/);
  assert.doesNotMatch(text, /</);
});

test('a browser gets one small page that allows itself and nothing else', async () => {
  const response = await get('text/html,application/xhtml+xml,*/*;q=0.8');
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
  const html = await response.text();
  assert.ok(Buffer.byteLength(html) <= 40 * 1024, `${Buffer.byteLength(html)} bytes`);

  const policy = response.headers.get('content-security-policy');
  const directives = Object.fromEntries(policy.split(';').map((part) => {
    const [name, ...values] = part.trim().split(/\s+/);
    return [name, values];
  }));
  assert.doesNotMatch(policy, /unsafe|\*|http/);
  assert.deepEqual(directives['default-src'], ["'none'"]);
  assert.deepEqual(directives['connect-src'], ["'self'"]);
  assert.deepEqual(directives['frame-ancestors'], ["'none'"]);
  const [, style] = /<style>([^]*)<\/style>/.exec(html);
  const [, script] = /<script type="module">([^]*)<\/script>/.exec(html);
  assert.deepEqual(directives['style-src'], [hash(style)]);
  assert.deepEqual(directives['script-src'], [hash(script)]);
});
