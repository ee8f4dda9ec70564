import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openScene, termsOf, toService } from '../e2e/scene.ts';
import { ask } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { buy, startTestGateway } from '../support/gateway.ts';

test('a call that our own drain cuts before its answer began is given back; one that leaves by itself is paid', async (t) => {
  const scene = openScene(t);
  const asked: ServerResponse[] = [];
  const upstream = await scene.upstream((req, res) => {
    req.resume();
    asked.push(res);
  });
  const store = createMemoryStore({ nowMs: Date.now });
  t.after(() => store.close());
  const gateway = await startTestGateway([toService({ price: '10 sat', upstream: upstream.origin })], {
    store,
    config: { drainTimeoutMs: 50 },
  });
  const balanceOf = async (credential: string) =>
    (await store.account(termsOf(credential).accountId))?.balanceMsat;
  const [left, begun, waiting, keyed] = await Promise.all(
    Array.from({ length: 4 }, () => buy(gateway, '/quote')),
  );
  assert.ok(left && begun && waiting && keyed);

  const leaving = new AbortController();
  const gone = fetch(`${gateway.url}/quote`, { headers: { Authorization: left }, signal: leaving.signal });
  await eventually(
    () => asked.length,
    (length) => length === 1,
  );
  leaving.abort();
  await assert.rejects(gone);
  const [first] = asked;
  if (first !== undefined && !first.destroyed) await once(first, 'close');

  const calls = [begun, waiting, keyed].map((credential) =>
    ask(`${gateway.url}/quote`, {
      headers: { Authorization: credential, ...(credential === keyed ? { 'Idempotency-Key': 'k' } : {}) },
    }).then(
      ({ status }) => status,
      () => 'cut',
    ),
  );
  await eventually(
    () => asked.length,
    (length) => length === 4,
  );
  const balances = () => Promise.all([left, begun, waiting, keyed].map(balanceOf));
  assert.deepEqual(await balances(), [0, 0, 0, 0]);
  // Which of the three calls this answers is all the same: it is one whose answer has begun.
  asked[1]?.writeHead(200).write('begun');
  await new Promise((resolve) => setImmediate(resolve));
  await gateway.stop();
  assert.deepEqual(await Promise.all(calls), ['cut', 'cut', 'cut']);
  const [ofLeft, ...others] = await balances();
  assert.equal(ofLeft, 0);
  assert.deepEqual(others.sort(), [0, 10_000, 10_000]);
});
