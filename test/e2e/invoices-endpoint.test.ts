import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { macaroonToBase64 } from '../../gateway/l402/macaroon.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import {
  askChallenge,
  type TestGateway,
  type TestGatewayOptions,
  withCredential,
} from '../support/gateway.ts';
import { append, openScene, partsOf, type Upstream } from './scene.ts';

async function openShop(
  t: TestContext,
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; upstream: Upstream }> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'rest', path: '/*', price: 'free', upstream: upstream.origin },
    ],
    options,
  );
  return { gateway, upstream };
}

async function look(
  gateway: TestGateway,
  { paymentHash, macaroon }: { paymentHash: string; macaroon?: string },
  wait = '',
): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = macaroon === undefined ? {} : { 'L402-Macaroon': macaroon };
  const { status, body } = await ask(`${gateway.url}/.l402/invoices/${paymentHash}${wait}`, { headers });
  return { status, body: JSON.parse(body.toString()) };
}

test('who waits with the macaroon learns of the payment and gets a credential that works', async (t) => {
  const { gateway, upstream } = await openShop(t);
  const challenge = await askChallenge(`${gateway.url}/quote`);
  assert.deepEqual((await look(gateway, challenge)).body, {
    state: 'open',
    paymentHash: challenge.paymentHash,
  });
  const waiting = look(gateway, challenge, '?wait=30');
  const preimage = await gateway.pay(challenge.invoice);
  const { body } = await waiting;
  assert.equal(body['state'], 'settled');
  assert.equal(body['authorization'], `L402 ${challenge.macaroon}:${preimage}`);
  assert.equal(
    (await fetch(`${gateway.url}/quote`, withCredential(String(body['authorization'])))).status,
    200,
  );
  assert.equal(upstream.seen.length, 1);
});

test('nobody else learns anything: without the macaroon, with another one, with a forged one', async (t) => {
  const { gateway } = await openShop(t);
  const mine = await askChallenge(`${gateway.url}/quote`);
  const other = await askChallenge(`${gateway.url}/quote`);
  await gateway.pay(mine.invoice);
  const { macaroon } = partsOf(`L402 ${mine.macaroon}:`);
  const forged = macaroonToBase64({ ...append(macaroon, 'x=1'), signature: macaroon.signature });
  for (const presented of [undefined, other.macaroon, forged, 'AAAA']) {
    const { status, body } = await look(gateway, {
      paymentHash: mine.paymentHash,
      ...(presented === undefined ? {} : { macaroon: presented }),
    });
    assert.equal(status, 403);
    assert.ok(!('preimage' in body));
  }
});

test('an invoice that ran out says so, and paid late it is not sold twice', async (t) => {
  const { gateway } = await openShop(t);
  const challenge = await askChallenge(`${gateway.url}/quote`);
  gateway.clock.ms += 601_000;
  assert.equal((await look(gateway, challenge)).body['state'], 'expired');
  await assert.rejects(gateway.pay(challenge.invoice));
});

test('waiting is free of the throttle, and every spelling stays with the gateway', async (t) => {
  const { gateway, upstream } = await openShop(t, {
    config: { challenge: { ...testConfig([]).challenge, burst: 1, perMinute: 1 } },
  });
  const challenge = await askChallenge(`${gateway.url}/quote`);
  assert.equal((await ask(`${gateway.url}/quote`)).status, 429);
  for (let n = 0; n < 5; n += 1) assert.equal((await look(gateway, challenge)).status, 200);
  for (const path of [
    '//.l402/invoices/x',
    '/%2el402/x',
    '/a/../.l402/x',
    '/.l402',
    '/.l402/',
    '/.l402/nothing',
  ]) {
    const { status } = await ask(gateway.url, { path });
    assert.equal(status, 404, path);
  }
  assert.equal(upstream.seen.length, 0);
  assert.equal((await ask(gateway.url, { path: '/.l402x' })).status, 200);
  assert.equal(upstream.seen.length, 1);
});

test('a node that is down is 503 for who waits', async (t) => {
  const { gateway } = await openShop(t);
  const challenge = await askChallenge(`${gateway.url}/quote`);
  gateway.simnet.configure({ offline: true });
  const { status } = await look(gateway, challenge);
  assert.equal(status, 503);
});
