import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functions } from '../script.js';

const { members, serverTiming, proxyStatus, told } = functions('members', 'serverTiming', 'proxyStatus', 'told');
const nothing = { error: null, outcome: null, attempts: null, flags: null };

test('members are split outside quoted strings only', () => {
  for (const [header, expected] of [
    [null, []],
    ['', []],
    [' , ,', []],
    ['a', [{ name: 'a', parameters: {} }]],
    ['a;x=1 , b ; Y="2"', [{ name: 'a', parameters: { x: '1' } }, { name: 'b', parameters: { y: '2' } }]],
    ['a;x="1, b;c=d"', [{ name: 'a', parameters: { x: '1, b;c=d' } }]],
    ['a;x="say \\"a, b\\" \\\\", c', [{ name: 'a', parameters: { x: 'say "a, b" \\' } }, { name: 'c', parameters: {} }]],
    ['"proxy, one"; error=dns_error', [{ name: 'proxy, one', parameters: { error: 'dns_error' } }]],
    ['a;flag;x=y=z', [{ name: 'a', parameters: { flag: '', x: 'y=z' } }]],
  ]) assert.deepEqual(members(header), expected, String(header));
});

test('server-timing', () => {
  const timing = serverTiming('cdn;dur=3, faultline;dur=1000.2;desc="timeout", attempts;desc="3"');
  assert.deepEqual(timing.get('faultline'), { dur: 1000.2, desc: 'timeout' });
  assert.deepEqual(timing.get('attempts'), { dur: null, desc: '3' });
  assert.equal(serverTiming('faultline;dur=soon').get('faultline').dur, null);
  assert.equal(serverTiming('faultline;dur=-1').get('faultline').dur, null);
});

test('proxy-status: the member nearest to the client counts', () => {
  const timeout = 'faultline; error=http_response_timeout; details="outcome=timeout attempts=3 flags=UT"';
  const expected = { error: 'http_response_timeout', outcome: 'timeout', attempts: 3, flags: 'UT' };
  assert.deepEqual(proxyStatus(timeout), expected);
  assert.deepEqual(proxyStatus(`faultline; received-status=200; details="outcome=ok attempts=1", ${timeout}`), expected);
  assert.deepEqual(proxyStatus(`${timeout}, cdn; error=dns_error; details="outcome=other"`), expected);
  assert.deepEqual(proxyStatus('cdn; error=dns_error'), nothing);
  assert.deepEqual(proxyStatus('faultline; details=""'), nothing);
});

test('what one header does not tell, the other may', () => {
  const timing = 'faultline;dur=1000.2;desc="timeout", attempts;desc="3"';
  const status = 'faultline; error=http_response_timeout; details="outcome=timeout attempts=3 flags=UT"';
  assert.deepEqual(told(null, null), { ...nothing, gatewayMs: null });
  assert.deepEqual(told(timing, null), { ...nothing, outcome: 'timeout', attempts: 3, gatewayMs: 1000.2 });
  assert.deepEqual(told(null, status), { error: 'http_response_timeout', outcome: 'timeout', attempts: 3, flags: 'UT', gatewayMs: null });
  assert.equal(told(timing, status).gatewayMs, 1000.2);
});

test('nothing that a header can hold throws', () => {
  const alphabet = ['faultline', 'attempts', '"', '\\', ';', ',', '=', ' ', 'details', 'dur', '1', '\t', '__proto__', 'ä'];
  let state = 1;
  const next = (below) => { state = (state * 48271) % 2147483647; return state % below; };
  for (let round = 0; round < 20_000; round += 1) {
    const header = Array.from({ length: next(14) }, () => alphabet[next(alphabet.length)]).join('');
    const result = told(header, header);
    assert.ok(result.attempts === null || result.attempts >= 0, header);
    assert.ok(result.gatewayMs === null || result.gatewayMs >= 0, header);
  }
});
