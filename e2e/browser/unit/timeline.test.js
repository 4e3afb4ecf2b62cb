import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functions, policy } from '../script.js';

const { lanesOf, verdict, triesByPolicy, axisEnd, ticks, trapLanes, hopLanes, told } = functions(
  'lanesOf', 'verdict', 'triesByPolicy', 'axisEnd', 'ticks', 'trapLanes', 'hopLanes', 'told');

const silence = told(null, null);
const timedOut = told('faultline;dur=1000;desc="timeout", attempts;desc="3"', null);
const answered = (status, at, told, detail = '') => ({ at, status, reason: '', detail, told });
const run = (more) => ({ method: 'GET', answer: null, failure: null, polls: [], watching: false, ...more });
const poll = (at, count, problem = null) => ({ at, count, problem });
const names = (lanes) => lanes.map(({ name }) => name);
const named = (lanes, name) => lanes.find((lane) => lane.name === name);

test('three tries within one second, as the policy cuts them', () => {
  const [first, second, third] = triesByPolicy(3, 1000, policy);
  assert.deepEqual(first, { from: 0, to: 400 });
  assert.ok(second.from >= 400 && second.from <= 425 && second.to - second.from === 400);
  assert.ok(third.from >= 800 && third.from <= 900 && third.to === 1000);
});

test('a time that the policy cannot lead to is not drawn as if it did', () => {
  assert.equal(triesByPolicy(3, 700, policy), null);
  assert.equal(triesByPolicy(3, 5000, policy), null);
  assert.equal(triesByPolicy(1, 1000, policy), null);
  const lanes = lanesOf(run({ answer: answered(504, 5000, { ...timedOut, gatewayMs: 5000 }) }), policy);
  assert.match(named(lanes, 'three tries').note, /not told/);
});

test('the tries lie within what the gateway measured, in the middle of what the page measured', () => {
  const lanes = lanesOf(run({ answer: answered(504, 1100, timedOut) }), policy);
  assert.deepEqual(names(lanes), ['this browser', 'the gateway', 'try 1', 'try 2', 'try 3', 'the delay']);
  assert.deepEqual(named(lanes, 'the gateway').marks, [{ kind: 'span', tone: 'gateway', from: 50, to: 1050 }]);
  assert.equal(named(lanes, 'try 1').marks[0].from, 50);
  assert.equal(named(lanes, 'try 3').marks[1].at, 1050);
  assert.equal(named(lanes, 'the delay').marks[0].to, 50 + policy.delay);
});

test('while it waits, only what is known is drawn', () => {
  const lanes = lanesOf(run({ method: 'POST', watching: true }), policy);
  assert.deepEqual(names(lanes), ['this browser', 'the entry']);
  assert.ok(lanes.every(({ marks }) => marks[0].to === undefined));
  assert.match(verdict(run({}), policy), /Waiting/);
});

test('an entry arrives between the last look without it and the first with it', () => {
  const answer = answered(504, 1000, timedOut);
  const polls = [poll(300, 0), poll(1900, 0), poll(2200, 1), poll(3600, 1)];
  const going = run({ method: 'POST', answer, polls: polls.slice(0, 3), watching: true });
  assert.match(verdict(going, policy), /504 after 1\.000 s: three tries.*arrived all the same: seen at 2\.20 s, so far once/);
  const done = run({ method: 'POST', answer, polls });
  assert.match(verdict(done, policy), /only once/);
  const entry = named(lanesOf(done, policy), 'the entry');
  assert.deepEqual(entry.marks[0], { kind: 'span', tone: 'arrival', from: 1900, to: 2200 });
  assert.deepEqual(entry.marks.slice(1).map(({ tone }) => tone), ['missed', 'missed', 'found', 'found']);
  assert.equal(entry.note, 'not there at 1.90 s, there at 2.20 s, once; still once at 3.60 s');
});

test('twice is called a defect, and never is not called arrived', () => {
  const answer = answered(504, 1000, timedOut);
  const twice = run({ method: 'POST', answer, polls: [poll(2200, 1), poll(3600, 2)] });
  assert.match(verdict(twice, policy), /2 times: a defect/);
  const never = run({ method: 'POST', answer, polls: [poll(300, 0), poll(60_000, 0)] });
  assert.match(verdict(never, policy), /not been seen/);
  const unread = run({ method: 'POST', answer, polls: [poll(300, null, '503')] });
  assert.match(named(lanesOf(unread, policy), 'the entry').note, /could not be read: 503/);
});

test('without the filter, nothing is made up', () => {
  const lanes = lanesOf(run({ answer: answered(504, 1000, silence, 'upstream request timeout') }), policy);
  assert.deepEqual(names(lanes), ['this browser', 'tries']);
  assert.match(named(lanes, 'tries').note, /not told/);
  assert.deepEqual(named(lanes, 'tries').marks, []);
  assert.equal(verdict(run({ answer: answered(504, 1000, silence, 'upstream request timeout') }), policy), '504 after 1.000 s: upstream request timeout');
});

test('without the delay, and in the trap', () => {
  const quick = told('faultline;dur=5;desc="ok", attempts;desc="1"', null);
  assert.match(verdict(run({ answer: answered(200, 7, quick) }), policy), /one try: no delay in the way/);
  assert.match(verdict(run({ answer: answered(200, 7, quick, 'The newest entry: “hello”') }), policy), /in the way\. The newest entry: “hello”/);
  const slow = told('faultline;dur=2003;desc="ok", attempts;desc="1"', null);
  for (const told of [slow, silence]) assert.match(verdict(run({ answer: answered(200, 2005, told) }), policy), /the trap/);
});

test('an entry that is sent again and known is told as that, not as one without a delay', () => {
  const quick = told('faultline;dur=5;desc="ok", attempts;desc="1"', null);
  const again = run({ method: 'POST', again: true, answer: answered(201, 7, quick), polls: [poll(200, 1), poll(3600, 1)] });
  assert.match(verdict(again, policy), /^201 after 7 ms: known by its key, and not taken twice\. The entry is stored: seen at 200 ms, and only once\.$/);
});

test('refusals and failures say what they are', () => {
  const overflow = told('faultline;dur=1;desc="overflow", attempts;desc="1"', null);
  const full = run({ answer: answered(503, 3, overflow) });
  assert.match(verdict(full, policy), /3 connections and 5 places to wait/);
  assert.match(named(lanesOf(full, policy), 'tries').note, /too many/);
  assert.equal(verdict(run({ answer: answered(429, 3, silence, 'slow down') }), policy), '429 after 3 ms: slow down');
  assert.equal(verdict(run({ failure: { at: 4, text: 'the gateway cannot be reached' } }), policy), 'No answer: the gateway cannot be reached.');
});

test('an axis holds every mark and few labels', () => {
  for (const end of [500, 2500, 4000, 4500, 7500, 61_000, 400_000]) {
    assert.ok(ticks(end).length <= 6, `${end}: ${ticks(end)}`);
    assert.ok(ticks(end).every((time) => time <= end));
  }
  assert.equal(axisEnd(lanesOf(run({ answer: answered(200, 7321, silence) }), policy), 2500), 7500);
  assert.equal(axisEnd([], 2500), 2500);
});

test('the two drawings of the trap follow from the policy', () => {
  assert.deepEqual(named(trapLanes(policy), 'fault filter').marks, [{ kind: 'span', tone: 'wait', from: 0, to: policy.delay }]);
  assert.deepEqual(names(hopLanes(policy)), ['caller', 'try 1', 'try 2', 'try 3', 'next hop’s delay']);
});
