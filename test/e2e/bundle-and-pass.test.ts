import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { type RawClient, rawClient } from '../proxy/wire.ts';
import { askChallenge, buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { balanceOf, openScene, portOf, termsOf } from './scene.ts';

test('a bundle is spent in equal calls, and the balance counts down', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '60 sat for 3 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  for (const left of ['40000', '20000', '0']) {
    const { status, headers } = await fetch(`${gateway.url}/quote`, withCredential(credential));
    assert.deepEqual([status, headers.get('l402-balance-msat')], [200, left]);
  }
  const { reason } = await askChallenge(`${gateway.url}/quote`, withCredential(credential));
  assert.equal(reason, 'spent');
  assert.equal(upstream.seen.length, 3);
});

test('credit that no longer pays a whole call stays on the account and counts towards the next one', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '700 msat', upstream: upstream.origin }]);
  const first = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(first));
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(first))).status, 402);
  const second = await buy(gateway, '/quote', withCredential(first));
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(second))).status, 200);
  assert.equal(await balanceOf(gateway, first), 600);
});

test('a pass serves any number of calls until it is over, and is never renewed onto its account', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }]);
  const soldAtSec = Math.floor(gateway.clock.ms / 1000);
  const credential = await buy(gateway, '/quote');
  // Nobody pays for something that dies first: ten minutes of invoice, ten minutes of pass.
  assert.equal(termsOf(credential).validUntilSec, soldAtSec + 600 + 600);
  for (let call = 0; call < 5; call += 1) {
    const { status, headers } = await fetch(`${gateway.url}/quote`, withCredential(credential));
    assert.deepEqual([status, headers.get('l402-balance-msat')], [200, null]);
  }
  gateway.clock.ms = (termsOf(credential).validUntilSec - 1) * 1000;
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  gateway.clock.ms += 1000;
  const challenge = await askChallenge(`${gateway.url}/quote`, withCredential(credential));
  assert.equal(challenge.reason, 'expired');
  assert.notEqual(termsOf(`L402 ${challenge.macaroon}:`).accountId, termsOf(credential).accountId);
});

test('after its first use a pass asks nothing of the store', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const asked: string[] = [];
  const memory = createMemoryStore({ nowMs: () => clock.ms });
  const store = new Proxy(memory, {
    get: (target, name, receiver) => {
      if (name !== 'revocationsAfter' && name !== 'ping') asked.push(String(name));
      return Reflect.get(target, name, receiver);
    },
  });
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }], {
    store,
    clock,
  });
  const credential = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(credential));
  asked.length = 0;
  for (let call = 0; call < 3; call += 1)
    await fetch(`${gateway.url}/quote`, withCredential(credential)).then((response) => response.text());
  assert.deepEqual(asked, []);
});

/** A gateway that sells a pass to a stream without end, and an open response of it. */
async function openStream(
  t: TestContext,
): Promise<{ gateway: TestGateway; credential: string; client: RawClient }> {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
  });
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const client = await rawClient(
    portOf(gateway),
    `GET /quote HTTP/1.0\r\nAuthorization: ${credential}\r\n\r\n`,
  );
  await client.until('data: 1');
  return { gateway, credential, client };
}

test('a response that outlives its pass is reset, so that it does not look complete', async (t) => {
  const { gateway, client, credential } = await openStream(t);
  gateway.clock.ms = termsOf(credential).validUntilSec * 1000;
  assert.equal(await client.ended(), 'ECONNRESET');
});

test('revoking an account ends its streams and its passes', async (t) => {
  const { gateway, client, credential } = await openStream(t);
  const { accountId } = termsOf(credential);
  const revoked = await fetch(`${gateway.adminUrl}/api/accounts/${accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.equal(revoked.status, 200, await revoked.text());
  assert.equal(await client.ended(), 'ECONNRESET');
  const challenge = await askChallenge(`${gateway.url}/quote`, withCredential(credential));
  assert.equal(challenge.reason, 'revoked');
  assert.notEqual(termsOf(`L402 ${challenge.macaroon}:`).accountId, accountId);
});
