import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deserialize, serialize } from 'node:v8';
import fc from 'fast-check';
import { divideLimits } from '../../gateway/cluster/divide-limits.ts';
import {
  type FromWorker,
  readFromWorker,
  readToWorker,
  type ToWorker,
} from '../../gateway/cluster/messages.ts';
import { testConfig, testService } from '../support/config.ts';

const CONFIG = testConfig([testService({ name: 'api', path: '/*', price: '1 sat', upstream: 'http://h' })], {
  workers: 2,
});
const KEYS = new Uint8Array(48);
const HASH = 'ab'.repeat(32);

test('every message arrives as it was sent', () => {
  const toWorker: ToWorker[] = [
    { kind: 'start', worker: 2, ticketKeys: KEYS, config: CONFIG, version: 1 },
    { kind: 'reload', config: CONFIG, version: 7 },
    { kind: 'connection', connection: 1, listener: 0 },
    { kind: 'news', news: { kind: 'credited', accountId: HASH, paymentHash: HASH } },
    { kind: 'news', news: { kind: 'missed' } },
    { kind: 'taken', taken: [['challenges', '192.0.2.1', 3]] },
    { kind: 'count' },
    { kind: 'drain' },
  ];
  for (const message of toWorker) assert.deepEqual(readToWorker(deserialize(serialize(message))), message);
  const fromWorker: FromWorker[] = [
    { kind: 'hello' },
    { kind: 'serving' },
    { kind: 'took', connection: 9 },
    { kind: 'failed', reason: 'mismatch', message: 'the store …' },
    { kind: 'counted', scrape: '# …' },
    { kind: 'news', news: { kind: 'revoked', accountId: HASH } },
    { kind: 'news', news: { kind: 'settled', paymentHash: HASH } },
    { kind: 'taken', taken: [['look-ups', '192.0.2.1', 1]] },
  ];
  for (const message of fromWorker)
    assert.deepEqual(readFromWorker(deserialize(serialize(message))), message);
});

test('what is none of the messages is read as none', () => {
  for (const bad of [
    undefined,
    null,
    'drain',
    { kind: 'start', worker: 0, ticketKeys: KEYS, config: CONFIG, version: 1 },
    { kind: 'start', worker: 1, ticketKeys: KEYS, config: {}, version: 1 },
    { kind: 'start', worker: 1, ticketKeys: KEYS.subarray(1), config: CONFIG, version: 1 },
    { kind: 'reload', config: CONFIG, version: 1.5 },
    { kind: 'connection', connection: 1, listener: -1 },
    { kind: 'connection', connection: 0, listener: 1 },
    { kind: 'news', news: { kind: 'credited', accountId: HASH } },
    { kind: 'news', news: { kind: 'revoked', accountId: HASH.toUpperCase() } },
    { kind: 'taken', taken: [['challenges', 'a', -1]] },
    { kind: 'serving' },
  ]) {
    assert.equal(readToWorker(bad), undefined);
  }
  for (const bad of [
    { kind: 'failed', reason: 'perhaps', message: '' },
    { kind: 'failed', reason: 'other', message: 7 },
    { kind: 'counted', scrape: [] },
    { kind: 'drain' },
  ]) {
    assert.equal(readFromWorker(bad), undefined);
  }
  const kinds = fc.constantFrom('start', 'reload', 'connection', 'news', 'taken', 'failed', 'counted');
  fc.assert(
    fc.property(fc.anything(), kinds, fc.object(), (value, kind, others) => {
      readToWorker(value);
      readFromWorker(value);
      readToWorker({ ...others, kind });
      readFromWorker({ ...others, kind });
    }),
  );
});

test('workers together allow what is configured for all, rounded up, and at least one each', () => {
  const { limits, challenge } = testConfig([]);
  const whole = {
    ...CONFIG,
    workers: 3,
    limits: { ...limits, maxConnections: 100, credentialCacheBytes: 2 },
    challenge: { ...challenge, maxOutstanding: 10, invoicePool: { size: 2, refillBelow: 1 } },
  };
  const part = divideLimits(whole);
  assert.equal(part.limits.maxConnections, 34);
  assert.equal(part.limits.credentialCacheBytes, 1);
  assert.equal(part.limits.maxHeaderBytes, limits.maxHeaderBytes);
  assert.equal(part.challenge.maxOutstanding, 4);
  assert.deepEqual(part.challenge.invoicePool, { size: 1, refillBelow: 1 });
  // Kept together by the workers.
  assert.equal(part.challenge.burst, challenge.burst);
});
