import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import {
  createBudget,
  createMemoryTokenStore,
  createPayingClient,
  type PayingClient,
  type PaymentEvent,
  sats,
  type TokenStore,
  type Wallet,
} from '../../client/index.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';
import type { LightningNode } from '../../node/node.ts';
import { testConfig, testService } from '../support/config.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { type SteppedClock, steppedClock, until } from './fake-gateway.ts';
import { listen } from './support.ts';

/** What a gateway allows one address, unless its operator says otherwise. */
const LIMITS = { ...testConfig([]).challenge, burst: 20, perMinute: 60 };
const BURST = 60;
const JSON_TYPE = { 'content-type': 'application/json' };

let clock: SteppedClock;
let demo: DemoUpstream;
const open: { stop(): Promise<unknown> }[] = [];

before(async () => {
  demo = await startDemoUpstream();
});
after(() => demo.close());
beforeEach(() => {
  clock = steppedClock();
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

type Ware = readonly [path: string, price: string];

async function sell(
  wares: readonly Ware[],
  options: Pick<TestGatewayOptions, 'wrapNode'> = {},
): Promise<TestGateway> {
  const services = wares.map(([path, price], at) =>
    testService({ name: `service${at}`, path, price, upstream: demo.url }),
  );
  const gateway = await startTestGateway(services, {
    ...options,
    config: { challenge: LIMITS },
    clock: {
      get ms() {
        return clock.nowMs();
      },
    },
  });
  open.push(gateway);
  return gateway;
}

interface Subject {
  readonly client: PayingClient;
  readonly events: PaymentEvent[];
  readonly store: TokenStore;
  count(type: PaymentEvent['type']): number;
}

/** A client whose pauses pass at once, for the gateway too; the first of them when so many answers have come, or something has happened. */
function openClient(wallet: Wallet, firstAnswers = 0, happened?: Promise<void>): Subject {
  const events: PaymentEvent[] = [];
  const { promise: areThere, resolve } = Promise.withResolvers<void>();
  let answers = 0;
  const countingFetch: typeof fetch = async (...request) => {
    const answer = await fetch(...request);
    answers += 1;
    if (answers >= firstAnswers) resolve();
    return answer;
  };
  const store = createMemoryTokenStore();
  const client = createPayingClient({
    wallet,
    budget: createBudget({ perRequestMsat: sats(1_000) }),
    store,
    clock,
    fetch: countingFetch,
    onEvent: (event) => {
      events.push(event);
      if (event.type === 'throttled') void (happened ?? areThere).then(() => clock.advance(event.pauseMs));
    },
  });
  return { client, events, store, count: (type) => events.filter((event) => event.type === type).length };
}

function burst(client: PayingClient, url: string, requests = BURST): Promise<readonly number[]> {
  return Promise.all(
    Array.from({ length: requests }, async (_, at) => {
      const answer = await client.fetch(`${url}?${at}`);
      await answer.arrayBuffer();
      return answer.status;
    }),
  );
}

const ALL_SERVED = Array.from({ length: BURST }, () => 200);

describe('a burst of requests to a gateway that lets one address ask for 20 prices', () => {
  it('buys one bundle that serves them all', async () => {
    const gateway = await sell([['/pack/*', '500 sat for 100 calls']]);
    const { client, count, store } = openClient(gateway.payer);
    assert.deepEqual(await burst(client, `${gateway.url}/pack/weather`), ALL_SERVED);
    assert.equal(count('paid'), 1);
    const { creditedMsat, spentMsat } = await gateway.store.totals();
    assert.deepEqual([creditedMsat, spentMsat], [500_000, BURST * 5_000]);
    assert.deepEqual(await burst(client, `${gateway.url}/pack/weather`, 40), ALL_SERVED.slice(0, 40));
    assert.deepEqual([count('paid'), (await gateway.store.totals()).spentMsat], [1, 500_000]);
    assert.ok((await store.list(gateway.url)).every(({ state }) => state.kind === 'spent'));
  });

  it('buys as many bundles as its calls need', async () => {
    const gateway = await sell([['/pack/*', '100 sat for 20 calls']]);
    const { client, count } = openClient(gateway.payer);
    assert.deepEqual(await burst(client, `${gateway.url}/pack/weather`), ALL_SERVED);
    assert.equal(count('paid'), 3);
    const { creditedMsat, spentMsat } = await gateway.store.totals();
    assert.deepEqual([creditedMsat, spentMsat], [300_000, 300_000]);
  });

  it('uses up what is left of a bundle from before, and buys what is missing', async () => {
    const gateway = await sell([['/pack/*', '100 sat for 20 calls']]);
    const { client, count } = openClient(gateway.payer);
    assert.deepEqual(await burst(client, `${gateway.url}/pack/weather`, 15), ALL_SERVED.slice(0, 15));
    assert.deepEqual(await burst(client, `${gateway.url}/pack/weather`, 45), ALL_SERVED.slice(0, 45));
    assert.equal(count('paid'), 3);
    const { creditedMsat, spentMsat } = await gateway.store.totals();
    assert.deepEqual([creditedMsat, spentMsat], [300_000, 300_000]);
  });

  it('buys each call at a price for a call, and nobody takes what another one has bought', async () => {
    const gateway = await sell([['/quote', '10 sat']]);
    const { client, count } = openClient(gateway.payer);
    assert.deepEqual(await burst(client, `${gateway.url}/quote`), ALL_SERVED);
    assert.equal(count('paid'), BURST);
    const { creditedMsat, spentMsat } = await gateway.store.totals();
    assert.deepEqual([creditedMsat, spentMsat], [BURST * 10_000, BURST * 10_000]);
  });

  it('hands the 429 on after two minutes, and has paid for what was served alone', async () => {
    const gateway = await sell([['/quote', '10 sat']]);
    const beganMs = clock.nowMs();
    const { client, count } = openClient(gateway.payer, 180);
    const statuses = await burst(client, `${gateway.url}/quote`, 160);
    const served = statuses.filter((status) => status === 200).length;
    assert.ok(statuses.every((status) => status === 200 || status === 429));
    assert.ok(served >= 100 && served < 160, `${served} of 160`);
    assert.ok(clock.nowMs() - beganMs <= 125_000);
    assert.equal(count('paid'), served);
    const { creditedMsat, spentMsat } = await gateway.store.totals();
    assert.deepEqual([creditedMsat, spentMsat], [served * 10_000, served * 10_000]);
  });

  it('does not hold up what is free, while it waits for a payment', async () => {
    const gateway = await sell([
      ['/pack/*', '500 sat for 100 calls'],
      ['/free/*', 'free'],
    ]);
    const paying = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const wallet: Wallet = {
      ...gateway.payer,
      payInvoice: async (invoice, options) => {
        asked.resolve();
        await paying.promise;
        return gateway.payer.payInvoice(invoice, options);
      },
    };
    const { client, count } = openClient(wallet);
    const paid = burst(client, `${gateway.url}/pack/weather`);
    await asked.promise;
    assert.deepEqual(await burst(client, `${gateway.url}/free/hello`), ALL_SERVED);
    assert.equal(count('paid'), 0);
    paying.resolve();
    assert.deepEqual(await paid, ALL_SERVED);
    assert.equal(count('paid'), 1);
  });

  it('does not hold up another service, while it waits for a payment', async () => {
    const price = '500 sat for 100 calls';
    const throttled = Promise.withResolvers<void>();
    // Slower than refusals are: one of those who wait has its turn when the purchase begins.
    const wrapNode = (node: LightningNode): LightningNode => ({
      ...node,
      createInvoice: async (...order) => {
        await throttled.promise;
        return node.createInvoice(...order);
      },
    });
    const wares: readonly Ware[] = [
      ['/pack/*', price],
      ['/library/*', price],
    ];
    const gateway = await sell(wares, { wrapNode });
    const paying = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    let payments = 0;
    const wallet: Wallet = {
      ...gateway.payer,
      payInvoice: async (invoice, options) => {
        payments += 1;
        asked.resolve();
        if (payments === 1) await paying.promise;
        return gateway.payer.payInvoice(invoice, options);
      },
    };
    const { client, count } = openClient(wallet, 0, asked.promise);
    const first = burst(client, `${gateway.url}/pack/weather`);
    await until('one has its turn', () => count('throttled') > 0);
    throttled.resolve();
    await asked.promise;
    assert.deepEqual(await burst(client, `${gateway.url}/library/book.txt`), ALL_SERVED);
    assert.equal(count('paid'), 1);
    paying.resolve();
    assert.deepEqual(await first, ALL_SERVED);
    assert.equal(count('paid'), 2);
  });

  it('goes on without the one that was to pay for it, when that one is called off', async () => {
    const gateway = await sell([['/pack/*', '500 sat for 100 calls']]);
    const aborter = new AbortController();
    const wallet: Wallet = {
      ...gateway.payer,
      payInvoice: (invoice, options) => {
        aborter.abort(new Error('called off'));
        return gateway.payer.payInvoice(invoice, options);
      },
    };
    const { client, count } = openClient(wallet);
    const first = client.fetch(`${gateway.url}/pack/weather`, { signal: aborter.signal });
    const others = burst(client, `${gateway.url}/pack/weather`);
    // Whether it led, or waited for another one that did.
    await assert.rejects(first, /called off/);
    assert.deepEqual(await others, ALL_SERVED);
    assert.equal(count('paid'), 1);
  });
});

describe('a server that answers 429 for ever', () => {
  async function refuse(headers: Record<string, string>, body: string) {
    let requests = 0;
    const server = await listen((_, response) => {
      requests += 1;
      response.writeHead(429, headers).end(body);
    });
    open.push({ stop: server.close });
    return { url: server.url, requests: () => requests };
  }
  const THROTTLED = JSON.stringify({ error: { code: 'throttled', message: 'later' } });
  const NOBODY: Wallet = {
    payInvoice: () => Promise.reject(new Error('nothing is to be paid')),
    lookupPayment: async () => undefined,
  };

  it('is asked a few times more by one request, and not at all by those behind it', async () => {
    for (const retryAfter of ['0', '1', '-5', 'soon']) {
      const server = await refuse({ ...JSON_TYPE, 'retry-after': retryAfter }, THROTTLED);
      const { client, events } = openClient(NOBODY, BURST);
      assert.ok((await burst(client, `${server.url}/a`)).every((status) => status === 429));
      // One whose refusal is read after the others have given up has turns of its own.
      assert.ok(server.requests() >= BURST + 6 && server.requests() < 2 * BURST, `${server.requests()}`);
      const pauses = events.flatMap((event) => (event.type === 'throttled' ? [event.pauseMs] : []));
      for (const [at, pauseMs] of pauses.slice(0, 6).entries())
        assert.ok(pauseMs >= 1_000 * 2 ** at && pauseMs <= 1_200 * 2 ** at, `${pauses}`);
    }
  });

  it('is taken at its word when it says to come back much later', async () => {
    const server = await refuse({ ...JSON_TYPE, 'retry-after': '600' }, THROTTLED);
    const { client, count } = openClient(NOBODY);
    const answer = await client.fetch(`${server.url}/a`);
    assert.deepEqual([answer.status, await answer.text()], [429, THROTTLED]);
    assert.deepEqual([server.requests(), count('throttled')], [1, 0]);
  });

  it('and is not a gateway that has refused before it did anything has its answer handed on, whole', async () => {
    const long = `{"error":{"code":"throttled"},"more":"${'x'.repeat(100_000)}"}`;
    for (const [headers, body] of [
      [{ 'content-type': 'text/plain' }, THROTTLED],
      [JSON_TYPE, '{"error":"throttled"}'],
      [JSON_TYPE, '{"error":{"code":"too-many-streams"}}'],
      [JSON_TYPE, '{"error":'],
      [JSON_TYPE, long],
      [{ ...JSON_TYPE, 'l402-balance-msat': '5' }, THROTTLED],
    ] as const) {
      const server = await refuse({ ...headers, 'retry-after': '1' }, body);
      const { client } = openClient(NOBODY);
      const answer = await client.fetch(`${server.url}/a`);
      assert.deepEqual([answer.status, await answer.text()], [429, body]);
      assert.equal(server.requests(), 1);
    }
  });

  it('is left at once by a request that is called off, and the next one has its turn', async () => {
    let isOpen = false;
    const server = await listen((_, response) => {
      if (isOpen) response.end('served');
      else response.writeHead(429, { ...JSON_TYPE, 'retry-after': '2' }).end(THROTTLED);
    });
    open.push({ stop: server.close });
    const first = Promise.withResolvers<void>();
    const store = createMemoryTokenStore();
    const client = createPayingClient({
      wallet: NOBODY,
      budget: createBudget({ perRequestMsat: sats(1) }),
      store,
      clock,
      onEvent: ({ type }) => type === 'throttled' && first.resolve(),
    });
    const [leading, waiting] = [new AbortController(), new AbortController()];
    const led = client.fetch(`${server.url}/a`, { signal: leading.signal });
    await first.promise;
    const waited = client.fetch(`${server.url}/a`, { signal: waiting.signal });
    const last = client.fetch(`${server.url}/a`);
    waiting.abort(new Error('called off too'));
    await assert.rejects(waited, /called off too/);
    isOpen = true;
    leading.abort(new Error('called off'));
    await assert.rejects(led, /called off/);
    const moving = setInterval(() => void clock.advance(1_000), 5);
    try {
      assert.equal(await (await last).text(), 'served');
    } finally {
      clearInterval(moving);
    }
  });
});
