import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LightningNode } from '../../node/node.ts';
import { openScene } from '../e2e/scene.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, type SeenChallenge, type TestGateway } from '../support/gateway.ts';

const CHALLENGE = {
  ...testConfig([]).challenge,
  burst: 1_000,
  maxOutstandingPerClient: 1_000,
  nodeConcurrency: 8,
  nodeTimeoutMs: 60_000,
};

function lookUp(gateway: TestGateway, challenge: SeenChallenge, address: string) {
  return ask(`${gateway.url}/.l402/invoices/${challenge.paymentHash}`, {
    headers: { 'L402-Macaroon': challenge.macaroon, 'X-Forwarded-For': address },
  });
}

/** A node whose look-ups hang until they are let go. */
function hangingNode() {
  const seen = { inFlight: 0, most: 0, asked: 0 };
  const gate = Promise.withResolvers<void>();
  const wrap = (node: LightningNode): LightningNode => ({
    ...node,
    lookupInvoice: async (paymentHash, options) => {
      seen.asked += 1;
      seen.inFlight += 1;
      seen.most = Math.max(seen.most, seen.inFlight);
      await gate.promise;
      seen.inFlight -= 1;
      return node.lookupInvoice(paymentHash, options);
    },
  });
  return { seen, wrap, letGo: () => gate.resolve() };
}

test('look-ups from many addresses take half of the turns at the node, and invoices are made all the same', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const { seen, wrap, letGo } = hangingNode();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
    wrapNode: wrap,
    config: { trustedProxies: ['127.0.0.1'], challenge: CHALLENGE },
  });
  const challenges: SeenChallenge[] = [];
  for (let n = 0; n < 100; n += 1) challenges.push(await askChallenge(`${gateway.url}/quote`));
  let answered = 0;
  const asking = challenges.map((challenge, n) =>
    lookUp(gateway, challenge, `198.51.100.${n}`).then(({ status }) => {
      answered += 1;
      return status;
    }),
  );
  // Four are at the node and 64 wait for their turn; the others are told to come back.
  await eventually(
    () => answered,
    (count) => count === 100 - 4 - 64,
  );
  assert.equal(seen.asked, 4);
  const bought = await Promise.all(
    Array.from({ length: 20 }, () => ask(`${gateway.url}/quote`).then(({ status }) => status)),
  );
  assert.deepEqual(new Set(bought), new Set([402]), 'nobody who buys waits for them');
  letGo();
  const statuses = await Promise.all(asking);
  assert.equal(statuses.filter((status) => status === 200).length, 68);
  assert.equal(statuses.filter((status) => status === 503).length, 32);
  assert.equal(seen.most, 4);
});

test('a client that asks in a loop is told to wait, before a signature is computed for it, and others are not', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
    config: { trustedProxies: ['127.0.0.1'] },
  });
  const challenge = await askChallenge(`${gateway.url}/quote`);
  for (let n = 0; n < 60; n += 1)
    assert.equal((await lookUp(gateway, challenge, '198.51.100.1')).status, 200);
  const refused = await lookUp(gateway, challenge, '198.51.100.1');
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal((await lookUp(gateway, challenge, '198.51.100.2')).status, 200);
  gateway.clock.ms += 1_000;
  assert.equal((await lookUp(gateway, challenge, '198.51.100.1')).status, 200);
});

test('a macaroon asks for its invoice until it has expired', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin, validForSec: 3_600 }]);
  const challenge = await askChallenge(`${gateway.url}/quote`);
  gateway.clock.ms += (3_600 + 599) * 1000;
  assert.equal((await lookUp(gateway, challenge, '')).status, 200);
  gateway.clock.ms += 2_000;
  assert.equal((await lookUp(gateway, challenge, '')).status, 403);
});
