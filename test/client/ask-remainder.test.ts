import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { askRemainder } from '../../client/ask-remainder.ts';
import type { PaidToken } from '../../client/buyer.ts';
import { type Clock, createBudget, createMemoryTokenStore } from '../../client/index.ts';
import { openShop } from '../../client/open-shop.ts';
import type { Shop } from '../../client/visit.ts';
import { msat } from '../../node/msat.ts';
import { type SteppedClock, steppedClock, until } from './fake-gateway.ts';
import { listen } from './support.ts';

let clock: SteppedClock;
let shop: Shop;
let server: Awaited<ReturnType<typeof listen>>;
let asked: (string | undefined)[];
let answer: (response: ServerResponse) => void;

beforeEach(async () => {
  clock = steppedClock();
  asked = [];
  server = await listen((request, response) => {
    asked.push(request.headers.authorization);
    answer(response);
  });
  shop = openShop({
    wallet: { payInvoice: () => Promise.reject(new Error('not here')), lookupPayment: async () => undefined },
    budget: createBudget({ perRequestMsat: msat(1) }),
    store: createMemoryTokenStore(),
    clock,
  });
});
afterEach(() => server.close());

function token(): PaidToken {
  return {
    paymentHash: '11'.repeat(32),
    origin: server.url,
    service: 'live',
    scopes: [],
    scheme: 'L402',
    macaroon: 'AgEE',
    invoice: 'lnbc',
    amountMsat: msat(1_000),
    invoiceExpiresAtSec: 0,
    createdAtMs: 0,
    state: { kind: 'ready', preimage: '22'.repeat(32) },
  };
}

/** Its pauses pass at once, and its patience has no end. */
const patient: Clock = {
  nowMs: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (ms < 1_000) setImmediate(resolve);
      else signal?.addEventListener('abort', () => resolve(), { once: true });
    }),
};

/** Lets time pass until there is an end. */
async function ended<T>(promise: Promise<T>): Promise<T> {
  let isOver = false;
  const watched = promise.finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 2_000 && !isOver; turn += 1) await clock.advance(4);
  return watched;
}

describe('askRemainder', () => {
  it('asks until nothing is set aside any more, and not for ever', async () => {
    for (const [setAside, balanceMsat, questions] of [
      [[0], 900, 1],
      [[300, 100, 0], 900, 3],
      [[300, 300, 300, 300, 300, 300, 300], 600, 5],
    ] as const) {
      asked = [];
      answer = (response) => {
        const reservedMsat = setAside[asked.length - 1] ?? 0;
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ balanceMsat: 900 - reservedMsat, reservedMsat }));
      };
      assert.equal(await askRemainder({ ...shop, clock: patient }, token()), balanceMsat);
      assert.equal(asked.length, questions);
      assert.ok(asked.every((value) => value === `L402 AgEE:${'22'.repeat(32)}`));
    }
  });

  it('is undefined when nobody tells it', async () => {
    for (const [status, body] of [
      [404, '{}'],
      [429, '{"balanceMsat":5}'],
      [200, '{"balanceMsat":-5}'],
      [200, 'x'.repeat(200_000)],
    ] as const) {
      answer = (response) => void response.writeHead(status).end(body);
      assert.equal(await askRemainder(shop, token()), undefined);
    }
  });

  it('leaves a server that does not answer, or does not end, after two seconds', async () => {
    for (const hang of [
      () => undefined,
      (response: ServerResponse) => void response.writeHead(200).write('{"balanceMsat":'),
    ]) {
      answer = hang;
      const beganMs = clock.nowMs();
      assert.equal(await ended(askRemainder(shop, token())), undefined);
      assert.equal(Math.round((clock.nowMs() - beganMs) / 1_000), 2);
    }
  });

  it('ends with its caller', async () => {
    answer = () => undefined;
    const aborter = new AbortController();
    const asking = askRemainder(shop, token(), aborter.signal);
    await until('it was asked', () => asked.length === 1);
    aborter.abort();
    assert.equal(await asking, undefined);
  });
});
