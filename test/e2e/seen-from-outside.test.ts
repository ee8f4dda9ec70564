import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';
import { openScene, partsOf } from './scene.ts';

test('the metrics count what happened to requests and money, by service', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((req, res) =>
    res.writeHead(req.url === '/quote?fail' ? 500 : 200).end(),
  );
  const gateway = await scene.gateway(
    [
      { price: '20 sat for 2 calls', upstream: upstream.origin },
      { name: 'free', path: '/free', price: 'free', upstream: upstream.origin },
    ],
    { config: { challenge: { ...testConfig([]).challenge, burst: 2 } } },
  );
  const credential = await buy(gateway, '/quote');
  await ask(`${gateway.url}/quote`);
  await ask(`${gateway.url}/quote`);
  for (const path of ['/quote', '/quote?fail', '/free', '/nowhere'])
    await ask(gateway.url + path, { headers: { Authorization: credential } });

  const scraped = (await ask(`${gateway.adminUrl}/metrics`)).body.toString();
  const value = (line: string): number => {
    const found = scraped.split('\n').find((each) => each.startsWith(`${line} `));
    return Number(found?.slice(line.length + 1) ?? Number.NaN);
  };
  assert.equal(value('sluice_requests_total{service="quote",outcome="challenged"}'), 2);
  assert.equal(value('sluice_requests_total{service="quote",outcome="throttled"}'), 1);
  assert.equal(value('sluice_requests_total{service="quote",outcome="served"}'), 2);
  assert.equal(value('sluice_requests_total{service="free",outcome="free"}'), 1);
  assert.equal(value('sluice_challenges_total{service="quote"}'), 2);
  assert.equal(value('sluice_redemptions_total{service="quote"}'), 1);
  assert.equal(value('sluice_earned_msat_total{service="quote"}'), 20_000);
  assert.equal(value('sluice_spent_msat_total{service="quote"}'), 20_000);
  assert.equal(value('sluice_refunded_msat_total{service="quote"}'), 10_000);
  assert.equal(value('sluice_invoices_outstanding'), 1);
  assert.ok(!/[0-9a-f]{64}|AgEEbHNhd/.test(scraped), 'no label names an account, a hash or a token');
});

test('nothing that pays is ever written to the log, however it is presented', async (t) => {
  const scene = openScene(t);
  const gone = await scene.upstream();
  await gone.close();
  const upstream = await scene.upstream();
  const lines: string[] = [];
  const gateway = await scene.gateway(
    [
      { price: '90 sat for 9 calls', credentialInQuery: true, upstream: upstream.origin },
      { name: 'gone', path: '/gone', price: '90 sat for 9 calls', upstream: gone.origin },
    ],
    {
      log: createLog({ level: 'debug', format: 'json', destination: { write: (line) => lines.push(line) } }),
    },
  );
  const credential = await buy(gateway, '/quote');
  const { preimage } = partsOf(credential);
  const token = credential.slice('L402 '.length);
  await fetch(`${gateway.url}/quote`, withCredential(credential));
  await fetch(`${gateway.url}/quote?t=${encodeURIComponent(token)}`);
  await ask(gateway.url, { path: `/nowhere/${token.replaceAll('/', '_')}?t=${token}` });
  await ask(gateway.url, { path: `/%zz/${preimage}` });
  await fetch(`${gateway.url}/gone`, withCredential(await buy(gateway, '/gone')));
  await fetch(`${gateway.url}/quote`, withCredential(`L402 ${token}${preimage}`));
  const challenge = await askChallenge(`${gateway.url}/quote`);
  await ask(`${gateway.url}/.l402/invoices/${challenge.paymentHash}`, {
    headers: { 'L402-Macaroon': challenge.macaroon },
  });
  gateway.simnet.configure({ offline: true });
  await ask(`${gateway.url}/quote`);
  const log = lines.join('');
  assert.match(log, /"outcome":"served"/);
  assert.match(log, /the upstream failed: connect/);
  for (const secret of [
    preimage,
    token.slice(0, 60),
    token.slice(100, 140),
    challenge.macaroon.slice(100, 140),
  ])
    assert.ok(!log.includes(secret), secret);
  assert.doesNotMatch(log, /lnbcrt\w{30}|AgEEbHNhdAJC/);
});
