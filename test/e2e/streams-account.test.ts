import assert from 'node:assert/strict';
import { test } from 'node:test';
import { msat } from '../../node/msat.ts';
import { ask } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { buy } from '../support/gateway.ts';
import { termsOf } from './scene.ts';
import {
  credentialFor,
  type Listening,
  listen,
  metricOf,
  openShop,
  revoke,
  type Shop,
  SSE,
  settled,
  tick,
  topUp,
} from './streams-scene.ts';

const PRICE = '10 sat/second';

interface Told {
  readonly type: string;
  readonly balanceMsat?: number;
  readonly neededMsat?: number;
  readonly holdMs?: number;
  readonly remainingMs?: number;
  readonly cutBy?: string;
}

function toldIn(text: string): Told[] {
  return [...text.matchAll(/^event: \S+\ndata: (.*)$/gm)].map(([, data = '']) => JSON.parse(data));
}

async function follow(
  t: Parameters<typeof listen>[0],
  { gateway }: Shop,
  credential: string,
): Promise<Listening> {
  const feed = await listen(t, `${gateway.url}/.l402/account/events`, {
    headers: { authorization: credential },
  });
  await feed.until(/event: balance/);
  return feed;
}

test('the account’s feed tells of a stream: the warning, the end of the credit, the top-up, and the end', async (t) => {
  const shop = await openShop(t, {
    price: PRICE,
    metering: { depositMsat: msat(10_000), warnMs: 500, holdMs: 1_000 },
  });
  const credential = await credentialFor(shop);
  const feed = await follow(t, shop, credential);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  // Nothing can be said inside of it: its client learns from the feed.
  res.writeHead(200, { 'Content-Type': 'audio/mpeg' });
  tick(res);
  const stream = await opening;
  await feed.until(/event: warning/);
  const asked = toldIn(await feed.until(/event: payment-need-topup\ndata: .*\n/));
  const warning = asked.find(({ type }) => type === 'warning');
  assert.ok((warning?.remainingMs ?? 0) > 0 && (warning?.remainingMs ?? 0) <= 500);
  const need = asked.find(({ type }) => type === 'payment-need-topup');
  assert.deepEqual([need?.balanceMsat, need?.neededMsat, need?.holdMs], [0, 2_000, 1_000]);
  await topUp(shop.gateway, credential, 6_000);
  await feed.until(/"balanceMsat":(6000|[1-5]\d\d\d)\}/);
  assert.equal(await stream.end, 'broken');
  const all = toldIn(await feed.until(/event: session-timeout\ndata: .*\n/));
  assert.equal(all.find(({ type }) => type === 'session-timeout')?.cutBy, 'unpaid');
  assert.doesNotMatch(stream.text(), /event:/, 'nothing is put into a body that is no event stream');
  assert.equal((await settled(shop.store, credential)).spentMsat, 16_000);
});

test('the feed says the balance as it runs down, and that the account was revoked', async (t) => {
  const shop = await openShop(t, { price: PRICE });
  const credential = await credentialFor(shop);
  const feed = await follow(t, shop, credential);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE);
  tick(res);
  const stream = await opening;
  const seen = await eventually(
    () => toldIn(feed.text()).flatMap(({ balanceMsat }) => balanceMsat ?? []),
    ({ length }) => length >= 2,
  );
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => b - a),
  );
  await revoke(shop.gateway, credential);
  await stream.end;
  await feed.until(/event: revoked/);
  assert.equal(await feed.end, 'whole');
});

test('a session cookie plays a stream, is charged like its credential, and tells the page its balance', async (t) => {
  const shop = await openShop(t, { price: PRICE, session: true });
  const credential = await credentialFor(shop);
  const session = await ask(`${shop.gateway.url}/.l402/session`, {
    method: 'POST',
    headers: { authorization: credential },
  });
  const cookie = (session.headers['set-cookie']?.[0] ?? '').split(';', 1)[0] ?? '';
  const headers = { cookie, 'sec-fetch-site': 'same-origin' };
  const opening = listen(t, `${shop.gateway.url}/quote`, { headers });
  const { req, res } = await shop.asked();
  assert.equal(req.headers.cookie, undefined);
  res.writeHead(200, { 'Content-Type': 'video/mp4' });
  tick(res);
  const stream = await opening;
  await stream.until(/data: 10\n/);
  const feed = await listen(t, `${shop.gateway.url}/.l402/account/events`, { headers });
  await feed.until(/event: balance/);
  stream.leave();
  const line = await shop.untilEnded();
  assert.equal(line.accountId, termsOf(credential).accountId);
  assert.equal((await settled(shop.store, credential)).spentMsat, line.billedMsat);
  const cross = await ask(`${shop.gateway.url}/quote`, {
    headers: { cookie, 'sec-fetch-site': 'cross-site' },
  });
  assert.ok(cross.status >= 400);
  assert.equal(shop.upstream.seen.length, 1);
});

test('the metrics say how many streams live, what they delivered, and what they took', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { depositMsat: msat(4_000), holdMs: 0 } }, {}, [
    { name: 'files', path: '/files', price: '1000 msat/KB' },
  ]);
  const { gateway } = shop;
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE);
  tick(res);
  const stream = await opening;
  await stream.until(/data: 3\n/);
  assert.equal(await metricOf(gateway, 'sluice_streams{service="quote"}'), 1);
  await stream.end;
  const line = await shop.untilEnded();
  const forFiles = await buy(gateway, '/files');
  const asking = ask(`${gateway.url}/files`, { headers: { authorization: forFiles } });
  (await shop.asked()).res.writeHead(200, { 'Content-Length': 700 }).end(Buffer.alloc(700));
  await asking;
  await shop.untilEnded(2);
  const value = (name: string, labels: string) => metricOf(gateway, `${name}{${labels}}`);
  assert.equal(await metricOf(gateway, 'sluice_streams{'), 0);
  assert.equal(await value('sluice_streams_opened_total', 'service="quote"'), 1);
  assert.equal(await value('sluice_streamed_msat_total', 'service="quote"'), 4_000);
  assert.equal(await value('sluice_streamed_msat_total', 'service="files"'), 700);
  assert.equal(
    await value('sluice_streamed_units_total', 'service="quote",unit="second"'),
    line.deliveredUnits,
  );
  assert.equal(await value('sluice_streamed_units_total', 'service="files",unit="byte"'), 700);
  assert.equal(await value('sluice_stream_cuts_total', 'service="quote",reason="unpaid"'), 1);
  assert.equal(await value('sluice_spent_msat_total', 'service="quote"'), 4_000);
});

test('each stream leaves one line in the log, with what it delivered and what it was billed, and no secret', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { depositMsat: msat(4_000), holdMs: 0 } });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE).write('data: 1\n\n');
  await (await opening).end;
  const line = await shop.untilEnded();
  const { service, accountId, unit, billedMsat, deliveredUnits, cutBy } = line;
  assert.deepEqual(
    { service, accountId, unit, billedMsat, deliveredUnits, cutBy },
    {
      service: 'quote',
      accountId: termsOf(credential).accountId,
      unit: 'second',
      billedMsat: 4_000,
      deliveredUnits: 0.4,
      cutBy: 'unpaid',
    },
  );
  const [macaroon = '', preimage = ''] = credential.slice('L402 '.length).split(':');
  for (const text of shop.log) assert.ok(!text.includes(macaroon) && !text.includes(preimage));
  assert.equal(shop.ended().length, 1);
});
