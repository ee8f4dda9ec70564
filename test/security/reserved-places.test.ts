import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openScene } from '../e2e/scene.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';

const CHALLENGE = {
  ...testConfig([]).challenge,
  burst: 1_000,
  perMinute: 1_000,
  maxOutstanding: 50,
  reservedShare: 0.2,
  maxOutstandingPerClient: 5,
};

test('one spent credential from a hundred addresses leaves the reserved places to others that have paid, top-ups too', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '1 sat', upstream: upstream.origin }], {
    config: { challenge: CHALLENGE, trustedProxies: ['127.0.0.1'] },
  });
  const spend = async () => {
    const credential = await buy(gateway, '/quote', { headers: { 'X-Forwarded-For': '192.0.2.1' } });
    await (await fetch(`${gateway.url}/quote`, withCredential(credential))).text();
    return credential;
  };
  const [attacker, customer] = [await spend(), await spend()];
  const asked = async (path: string, credential: string, address: string, method = 'GET') => {
    const headers = { 'X-Forwarded-For': address };
    const answer = await fetch(gateway.url + path, withCredential(credential, { headers, method }));
    await answer.text();
    return answer.status;
  };
  const statuses: number[] = [];
  for (let n = 0; n < 100; n += 1) statuses.push(await asked('/quote', attacker, `198.51.100.${n}`));
  assert.equal(statuses.filter((status) => status === 402).length, 40 + 3);
  assert.equal(statuses.filter((status) => status === 503).length, 57);
  assert.equal(await asked('/.l402/topup', attacker, '203.0.113.1', 'POST'), 503);
  assert.equal(await asked('/.l402/topup', customer, '203.0.113.2', 'POST'), 200);
  await askChallenge(
    `${gateway.url}/quote`,
    withCredential(customer, { headers: { 'X-Forwarded-For': '203.0.113.2' } }),
  );
  assert.equal(await asked('/quote', 'none', '203.0.113.3'), 503, 'a stranger has to wait');
});
