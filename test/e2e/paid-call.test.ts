import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask } from '../proxy/wire.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';
import { accountOf, balanceOf, openScene, termsOf } from './scene.ts';

test('a call is challenged, paid, answered once and then spent', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const before = await gateway.payer.balanceMsat();

  const credential = await buy(gateway, '/quote');
  assert.equal(upstream.seen.length, 0, 'nothing is asked of the upstream before payment');
  assert.equal(before - (await gateway.payer.balanceMsat()), 10_000);

  const paid = await fetch(`${gateway.url}/quote?a=1`, withCredential(credential));
  assert.equal(paid.status, 200);
  assert.equal(await paid.text(), 'paid for');
  assert.equal(paid.headers.get('l402-balance-msat'), '0');
  assert.equal(paid.headers.get('l402-price'), '10000msat/call');
  assert.equal(paid.headers.get('cache-control'), 'private, no-store');
  assert.equal(upstream.seen[0]?.url, '/quote?a=1');

  const again = await askChallenge(`${gateway.url}/quote`, withCredential(credential));
  assert.equal(again.reason, 'spent');
  assert.equal(upstream.seen.length, 1);
  const account = await accountOf(gateway, credential);
  assert.deepEqual([account.creditedMsat, account.spentMsat, account.balanceMsat], [10_000, 10_000, 0]);
});

test('a challenge for a spent credential sells onto the same account, and both credentials spend it', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const first = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(first));
  const second = await buy(gateway, '/quote', withCredential(first));
  assert.equal(termsOf(second).accountId, termsOf(first).accountId);
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(second))).status, 200);
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(second))).status, 402);
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(first))).status, 402);

  const third = await buy(gateway, '/quote', withCredential(second));
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(third))).status, 200);
  assert.equal((await accountOf(gateway, first)).spentMsat, 30_000);
});

test('a challenge without a credential opens an account of its own each time, and only when it is paid and presented', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const one = await buy(gateway, '/quote');
  const two = await buy(gateway, '/quote');
  assert.notEqual(termsOf(one).accountId, termsOf(two).accountId);
  assert.equal((await gateway.store.totals()).accounts, 0);
  await fetch(`${gateway.url}/quote`, withCredential(one));
  assert.equal((await gateway.store.totals()).accounts, 1);
});

test('a price under the smallest invoice is credited in full and spent call by call', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '300 msat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const balances: (string | null)[] = [];
  for (let call = 0; call < 4; call += 1) {
    const { headers } = await fetch(`${gateway.url}/quote`, withCredential(credential));
    balances.push(headers.get('l402-balance-msat'));
  }
  assert.deepEqual(balances, ['700', '400', '100', null]);
  assert.equal(upstream.seen.length, 3);
});

test('an upload is paid for and forwarded byte for byte; HEAD costs what GET costs', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '20 sat for 2 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential };
  const posted = await ask(`${gateway.url}/quote`, { method: 'POST', headers }, 'x'.repeat(200_000));
  assert.equal(posted.status, 200);
  assert.equal(upstream.seen[0]?.body.length, 200_000);
  const head = await ask(`${gateway.url}/quote`, { method: 'HEAD', headers });
  assert.deepEqual([head.status, head.body.length, head.headers['l402-balance-msat']], [200, 0, '0']);
  assert.equal(await balanceOf(gateway, credential), 0);
});

test('a free path is served without a challenge, and an unknown one is 404', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([
    { name: 'free', path: '/free/*', price: 'free', upstream: upstream.origin },
    { price: '10 sat', upstream: upstream.origin },
  ]);
  const free = await fetch(`${gateway.url}/free/x`);
  assert.deepEqual([free.status, free.headers.get('l402-price')], [200, null]);
  const unknown = await fetch(`${gateway.url}/other`);
  assert.equal(unknown.status, 404);
  assert.match(await unknown.text(), /"code":"no-service"/);
  assert.deepEqual(
    upstream.seen.map(({ url }) => url),
    ['/free/x'],
  );
});
