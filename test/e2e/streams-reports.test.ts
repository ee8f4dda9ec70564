import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parseJsonPath, type ReportPlace } from '../../gateway/meter/usage/index.ts';
import { msat } from '../../node/msat.ts';
import { ask } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import {
  credentialFor,
  metricOf,
  openShop,
  type Shop,
  SSE,
  STORES,
  type StoreKind,
  settled,
  statusOf,
  topUp,
} from './streams-scene.ts';

/* 100 msat a unit, of which the upstream itself says how many there were. */

const ESTIMATE = 50;
const CAP = 500;
const DEPOSIT = 20_000;

function openMetered(t: TestContext, place: ReportPlace, store: StoreKind = 'memory'): Promise<Shop> {
  return openShop(t, {
    price: '100 sat/1k tokens',
    store,
    metering: {
      depositMsat: msat(DEPOSIT),
      holdMs: 300,
      usage: { kind: 'report', place, unitName: 'tokens', estimateUnits: ESTIMATE, capUnits: CAP },
    },
  });
}

const JSON_TOTAL: ReportPlace = { kind: 'json', path: parseJsonPath('usage.total_tokens') };
const SSE_TOTAL: ReportPlace = { kind: 'sse', path: parseJsonPath('usage.total_tokens') };
const json = (total: unknown) => JSON.stringify({ answer: 'x', usage: { total_tokens: total } });
const JSON_TYPE = { 'Content-Type': 'application/json' };

interface Case {
  readonly title: string;
  readonly place: ReportPlace;
  readonly answer: (res: ServerResponse) => unknown;
  readonly units: number;
  readonly source: 'reported' | 'estimated' | 'capped' | 'free';
}

const CASES: readonly Case[] = [
  {
    title: 'a header',
    place: { kind: 'header', name: 'x-tokens' },
    answer: (res) => res.writeHead(200, { 'X-Tokens': '7' }).end('x'),
    units: 7,
    source: 'reported',
  },
  {
    title: 'a trailer',
    place: { kind: 'trailer', name: 'x-tokens' },
    answer: (res) => {
      res.writeHead(200, { Trailer: 'X-Tokens' }).write('x');
      res.addTrailers({ 'X-Tokens': '8' });
      res.end();
    },
    units: 8,
    source: 'reported',
  },
  {
    title: 'JSON',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(200, JSON_TYPE).end(json(9)),
    units: 9,
    source: 'reported',
  },
  {
    title: 'JSON that comes compressed all the same',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(200, { ...JSON_TYPE, 'Content-Encoding': 'gzip' }).end(gzipSync(json(11))),
    units: 11,
    source: 'reported',
  },
  {
    title: 'the last event of a stream',
    place: SSE_TOTAL,
    answer: (res) => {
      res.writeHead(200, SSE);
      for (const total of [1, 5, 12]) res.write(`data: ${json(total)}\n\n`);
      res.end('data: [DONE]\n\n');
    },
    units: 12,
    source: 'reported',
  },
  {
    title: 'a missing report: the estimate',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(200, JSON_TYPE).end('{"answer":"x"}'),
    units: ESTIMATE,
    source: 'estimated',
  },
  {
    title: 'a negative report: the estimate',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(200, JSON_TYPE).end(json(-5)),
    units: ESTIMATE,
    source: 'estimated',
  },
  {
    title: 'a report that is no number: the estimate',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(200, JSON_TYPE).end(json('a lot')),
    units: ESTIMATE,
    source: 'estimated',
  },
  {
    title: 'an error: nothing',
    place: JSON_TOTAL,
    answer: (res) => res.writeHead(400, JSON_TYPE).end(json(9)),
    units: 0,
    source: 'free',
  },
];

for (const { title, place, answer, units, source } of CASES) {
  test(`by the upstream’s own word: ${title}`, async (t) => {
    const shop = await openMetered(t, place);
    const credential = await credentialFor(shop);
    const asking = ask(`${shop.gateway.url}/quote`, {
      headers: { authorization: credential, te: 'trailers' },
    });
    answer((await shop.asked()).res);
    await asking;
    const { spentMsat } = await settled(shop.store, credential);
    assert.equal(spentMsat, units * 100);
    assert.equal(
      await metricOf(shop.gateway, `sluice_usage_reports_total{service="quote",source="${source}"}`),
      1,
    );
    assert.equal((await shop.untilEnded()).billedMsat, spentMsat);
  });
}

for (const store of STORES) {
  test(`an absurd report is held to the bound, counted, and to what there is (${store})`, async (t) => {
    const shop = await openMetered(t, JSON_TOTAL, store);
    const credential = await credentialFor(shop);
    await topUp(shop.gateway, credential, 100_000);
    await eventually(
      () => settled(shop.store, credential),
      ({ creditedMsat }) => creditedMsat === DEPOSIT + 100_000,
    );
    const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
    (await shop.asked()).res.writeHead(200, JSON_TYPE).end(json(9_000_000_000));
    await asking;
    assert.equal((await settled(shop.store, credential)).spentMsat, CAP * 100);
    assert.equal(
      await metricOf(shop.gateway, 'sluice_usage_reports_total{service="quote",source="capped"}'),
      1,
    );
  });

  test(`a report beyond the balance takes the balance, and no more than it (${store})`, async (t) => {
    const shop = await openMetered(t, JSON_TOTAL, store);
    const credential = await credentialFor(shop);
    const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
    asking.catch(() => {});
    (await shop.asked()).res.writeHead(200, JSON_TYPE).end(json(300));
    await asking.catch(() => {});
    await shop.untilEnded();
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [DEPOSIT, 0]);
    assert.equal((await statusOf(shop.gateway, credential))[0], 402);
  });
}

test('a balance below the estimate opens nothing: 402, and the upstream is not asked', async (t) => {
  const shop = await openMetered(t, JSON_TOTAL);
  const credential = await credentialFor(shop);
  const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
  (await shop.asked()).res.writeHead(200, JSON_TYPE).end(json(160));
  await asking;
  await settled(shop.store, credential);
  assert.equal((await statusOf(shop.gateway, credential))[0], 402);
  assert.equal(shop.upstream.seen.length, 1);
});

test('a stream that is abandoned is billed what the upstream had reported by then', async (t) => {
  const shop = await openMetered(t, SSE_TOTAL);
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res, gone } = await shop.asked();
  res.writeHead(200, SSE).write(`data: ${json(60)}\n\n`);
  const stream = await opening;
  await stream.until(/total_tokens":60/);
  stream.leave();
  await gone;
  await shop.untilEnded();
  assert.equal((await settled(shop.store, credential)).spentMsat, 6_000);
});

test('a running total that outgrows the balance holds the stream, and a top-up lets it go on', async (t) => {
  const shop = await openShop(t, {
    price: '100 sat/1k tokens',
    metering: {
      depositMsat: msat(DEPOSIT),
      usage: { kind: 'report', place: SSE_TOTAL, unitName: 'tokens', estimateUnits: ESTIMATE, capUnits: CAP },
    },
  });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE).flushHeaders();
  const stream = await opening;
  for (const total of [40, 80, 190]) {
    res.write(`data: ${json(total)}\n\n`);
    await stream.until(new RegExp(`total_tokens":${total}\\D`));
  }
  res.write(`data: ${json(300)}\n\n`);
  await stream.until(/payment-need-topup/);
  assert.doesNotMatch(stream.text(), /total_tokens":300/);
  await topUp(shop.gateway, credential, 50_000);
  await stream.until(/total_tokens":300/);
  res.end('data: [DONE]\n\n');
  assert.equal(await stream.end, 'whole');
  assert.equal((await settled(shop.store, credential)).spentMsat, 30_000);
});

test('an event in pieces, at whose end the money is used up: what the gateway says does not tear it', async (t) => {
  const shop = await openShop(t, {
    price: '100 sat/1k tokens',
    metering: {
      depositMsat: msat(DEPOSIT),
      usage: { kind: 'report', place: SSE_TOTAL, unitName: 'tokens', estimateUnits: ESTIMATE, capUnits: CAP },
    },
  });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE).flushHeaders();
  const stream = await opening;
  const event = `data: ${json(300)}\n\n`;
  res.write(event.slice(0, 20));
  await stream.until(/answer/);
  res.write(event.slice(20));
  await eventually(
    () => metricOf(shop.gateway, 'sluice_stream_holds_total'),
    (holds) => holds === 1,
  );
  await topUp(shop.gateway, credential, 50_000);
  await stream.until(/total_tokens/);
  res.end();
  assert.equal(await stream.end, 'whole');
  assert.ok(stream.text().includes(event), JSON.stringify(stream.text()));
});
