import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  type Budget,
  type Clock,
  createBudget,
  createMemoryTokenStore,
  createPayingFetch,
  type PaymentError,
  type PaymentErrorCode,
  type PaymentEvent,
  sats,
  type TokenStore,
} from '../../client/index.ts';
import { createFileTokenStore } from '../../client/node.ts';
import type { PayingFetchOptions } from '../../client/paying-fetch.ts';
import {
  listen,
  PACK,
  PASS,
  type ShopOptions,
  startNode,
  startShop,
  type TestNode,
  type TestShop,
} from './support.ts';

let node: TestNode;
let opened: { close(): Promise<void> }[] = [];
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-client-'));
});
after(async () => {
  await closeAll();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await closeAll();
  node = await startNode();
  opened.push(node);
});

async function closeAll(): Promise<void> {
  for (const one of opened) await one.close();
  opened = [];
}

async function openShop(options: Omit<ShopOptions, 'node'> = {}): Promise<TestShop> {
  const shop = await startShop({ node, ...options });
  opened.push(shop);
  return shop;
}

interface Client {
  readonly fetch: typeof globalThis.fetch;
  readonly events: PaymentEvent[];
  readonly store: TokenStore;
  readonly budget: Budget;
}

function openClient(options: Partial<PayingFetchOptions> = {}): Client {
  const events: PaymentEvent[] = [];
  const store = options.store ?? createMemoryTokenStore();
  const budget = options.budget ?? createBudget({ perRequestMsat: sats(1_000) });
  const onEvent = (event: PaymentEvent): void => {
    events.push(event);
  };
  const fetch = createPayingFetch({ wallet: node.wallet, onEvent, ...options, store, budget });
  return { fetch, events, store, budget };
}

/** Time that passes only by sleeping, and then at once. Long sleeps that guard against a hang never end. */
function fastClock(longestMs = 10_000): Clock {
  let skippedMs = 0;
  return {
    nowMs: () => Date.now() + skippedMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (ms > longestMs) signal?.addEventListener('abort', () => resolve(), { once: true });
        else {
          skippedMs += ms;
          setImmediate(resolve);
        }
      }),
  };
}

function failsWith(code: PaymentErrorCode): (error: PaymentError) => boolean {
  return (error) => {
    assert.equal(error.name, 'PaymentError', `${error.stack}`);
    assert.equal(error.code, code);
    return true;
  };
}

describe('a paid request', () => {
  it('pays a 402 and returns the answer', async () => {
    const shop = await openShop();
    node.feeMsat = 1_500;
    const { fetch, events, budget } = openClient();
    const answer = await fetch(`${shop.origin}/quote`);
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), 'sold /quote');
    assert.deepEqual(
      events.map((event) => event.type),
      ['quote', 'paying', 'paid', 'answered'],
    );
    const last = events.at(-1);
    assert.ok(last?.type === 'answered');
    assert.deepEqual([last.paidMsat, last.feeMsat, last.balanceMsat], [10_000, 1_500, 0]);
    assert.equal(budget.committedMsat(), 11_500);
  });

  it('sends the body again after paying, be it a stream, a form or bytes', async () => {
    const shop = await openShop();
    const { fetch } = openClient();
    const stream = new Blob(['streamed']).stream();
    const streaming = { method: 'POST', body: stream, duplex: 'half' };
    const answer = await fetch(`${shop.origin}/quote`, streaming);
    assert.equal(await answer.text(), 'sold /quote for streamed');
    const asked = new Request(`${shop.origin}/quote`, { method: 'PUT', body: 'from a Request' });
    assert.equal(await (await fetch(asked)).text(), 'sold /quote for from a Request');
    const form = new FormData();
    form.set('field', 'value');
    await fetch(`${shop.origin}/quote`, { method: 'POST', body: form });
    const [first, second] = shop.seen.slice(-2);
    assert.equal(first?.body, second?.body);
    assert.equal(first?.headers['content-type'], second?.headers['content-type']);
  });

  it('refuses a stream longer than it may keep, before it sends or pays anything', async () => {
    const shop = await openShop();
    const { fetch } = openClient({ maxReplayBytes: 4 });
    const streaming = { method: 'POST', body: new Blob(['12345']).stream(), duplex: 'half' };
    await assert.rejects(fetch(`${shop.origin}/quote`, streaming), failsWith('not-replayable'));
    assert.equal(shop.seen.length, 0);
  });

  it('leaves a free answer and a plain error alone', async () => {
    const shop = await openShop({ wareOf: () => undefined });
    const { fetch, events } = openClient();
    assert.equal((await fetch(`${shop.origin}/free`)).status, 200);
    assert.equal(shop.seen[0]?.headers['idempotency-key'], undefined);
    assert.deepEqual(node.paid, []);
    assert.equal(events.length, 1);
    await shop.close();
    await assert.rejects(fetch(`${shop.origin}/free`), TypeError);
  });

  it('keeps an Authorization header of the caller and refuses to pay over it', async () => {
    const shop = await openShop();
    const { fetch } = openClient();
    const headers = { authorization: 'Bearer mine' };
    await assert.rejects(fetch(`${shop.origin}/quote`, { headers }), failsWith('authorization-conflict'));
    assert.equal(shop.seen[0]?.headers.authorization, 'Bearer mine');
    assert.deepEqual(node.paid, []);
  });
});

describe('what is checked before paying', () => {
  const nothingPaid = async (
    code: PaymentErrorCode,
    shopOptions: Omit<ShopOptions, 'node'>,
    clientOptions: Partial<PayingFetchOptions> = {},
  ): Promise<void> => {
    const shop = await openShop(shopOptions);
    const { fetch, store, budget } = openClient({
      budget: createBudget({ perRequestMsat: sats(1_000) }),
      ...clientOptions,
    });
    await assert.rejects(fetch(`${shop.origin}/quote`), failsWith(code));
    assert.deepEqual(node.paid, []);
    assert.deepEqual(await store.list(shop.origin), []);
    assert.equal(budget.committedMsat(), 0);
  };

  it('refuses an invoice that asks more than the body announced', () =>
    nothingPaid('invoice-mismatch', { invoice: { amountMsat: 20_000 } }));

  it('refuses an invoice without an amount', async () => {
    const { invoice } = node.newInvoice({});
    await nothingPaid('invoice-mismatch', {
      bend: (challenge) => {
        challenge.headers['www-authenticate'] = `L402 macaroon="AgEE", invoice="${invoice}"`;
        challenge.body = '';
      },
    });
  });

  it('refuses an invoice that does not open the macaroon beside it', async () => {
    const { invoice } = node.newInvoice({ amountMsat: 1_000 });
    await nothingPaid('invoice-mismatch', {
      bend: (challenge) => {
        const header = String(challenge.headers['www-authenticate']);
        challenge.headers['www-authenticate'] = header.replace(/invoice="[^"]*"/, `invoice="${invoice}"`);
        challenge.body = '';
      },
    });
  });

  it('refuses an invoice for another network', () =>
    nothingPaid('wrong-network', { invoice: { network: 'mainnet' } }));

  it('refuses an expired invoice', () =>
    nothingPaid('invoice-expired', { invoice: { createdAtSec: 1_700_000_000 } }));

  it('refuses what is no invoice', () =>
    nothingPaid('bad-invoice', {
      bend: (challenge) => {
        challenge.headers['www-authenticate'] = 'L402 macaroon="AgEE", invoice="lnbcrt1nonsense"';
      },
    }));

  it('refuses a 402 without a challenge', () =>
    nothingPaid('no-challenge', {
      bend: (challenge) => {
        delete challenge.headers['www-authenticate'];
        challenge.body = '<html>pay by card</html>';
      },
    }));

  it('does not pay a challenge on another status than 402', async () => {
    const shop = await openShop({
      bend: (challenge) => {
        challenge.status = 401;
      },
    });
    assert.equal((await openClient().fetch(`${shop.origin}/quote`)).status, 401);
    assert.deepEqual(node.paid, []);
  });

  it('fails and does not pay on a header larger than the platform reads', async () => {
    const shop = await openShop({
      bend: (challenge) => {
        challenge.headers['www-authenticate'] = `L402 macaroon="${'A'.repeat(100_000)}", invoice="lnbcrt1"`;
      },
    });
    await assert.rejects(openClient().fetch(`${shop.origin}/quote`), TypeError);
    assert.deepEqual(node.paid, []);
  });

  it('reads on when the body of a 402 never ends', async () => {
    const shop = await openShop({
      bend: (challenge) => {
        challenge.headers['content-length'] = '9999';
      },
    });
    const { fetch } = openClient({ clock: fastClock() });
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
  });

  it('refuses a price over the budget', () =>
    nothingPaid('over-budget', {}, { budget: createBudget({ perRequestMsat: sats(9) }) }));

  it('asks the caller, and pays nothing on a no', () =>
    nothingPaid('declined', {}, { approve: () => false }));

  it('pays nothing when the purchase can not be written down', async () => {
    const shop = await openShop();
    const store: TokenStore = {
      ...createMemoryTokenStore(),
      put: () => Promise.reject(new Error('disk full')),
    };
    await assert.rejects(openClient({ store }).fetch(`${shop.origin}/quote`), failsWith('store-failed'));
    assert.deepEqual(node.paid, []);
  });

  it('pays nothing when the wallet can not be reached', async () => {
    const shop = await openShop();
    await node.close();
    const { fetch, store } = openClient();
    await assert.rejects(fetch(`${shop.origin}/quote`), failsWith('wallet-failed'));
    assert.deepEqual(await store.list(shop.origin), []);
  });
});

describe('a 402 that is not about the token', () => {
  it('is returned when it comes from behind the gateway', async () => {
    const shop = await openShop({
      onCharged: (_request, response) => {
        response.writeHead(402, { 'l402-balance-msat': '0' }).end('subscribe first');
        return true;
      },
    });
    const answer = await openClient().fetch(`${shop.origin}/quote`);
    assert.deepEqual([answer.status, await answer.text()], [402, 'subscribe first']);
    assert.equal(node.paid.length, 1);
  });

  it('as a 401 that wants a token again is answered with a purchase only after a 402', async () => {
    let stale = false;
    const shop = await openShop({
      wareOf: () => PASS,
      intercept: (request, response) => {
        if (!stale || request.headers.authorization === undefined) return false;
        stale = false;
        response.writeHead(401, { 'www-authenticate': 'L402 macaroon="AgEE", invoice="lnbcrt1x"' }).end();
        return true;
      },
    });
    const { fetch } = openClient();
    await fetch(`${shop.origin}/library/a`);
    stale = true;
    assert.equal((await fetch(`${shop.origin}/library/a`)).status, 200);
    assert.equal(node.paid.length, 2);
  });
});

describe('a redirect', () => {
  it('to another origin never carries the credential', async () => {
    const other = await listen((request, response) => {
      response.end(JSON.stringify(request.headers));
    });
    opened.push(other);
    let moved = false;
    const shop = await openShop({
      intercept: (_request, response) => {
        if (moved) response.writeHead(302, { location: `${other.url}/elsewhere` }).end();
        return moved;
      },
      wareOf: () => PASS,
    });
    const { fetch } = openClient();
    await fetch(`${shop.origin}/library/a`);
    moved = true;
    const answer = await fetch(`${shop.origin}/library/a`);
    assert.equal(JSON.parse(await answer.text()).authorization, undefined);
  });

  it('that ends in a 402 is paid at the place that asked, and only that place sees the credential', async () => {
    const shop = await openShop();
    const front = await listen((request, response) => {
      assert.equal(request.headers.authorization, undefined);
      response.writeHead(307, { location: `${shop.origin}/quote` }).end();
    });
    opened.push(front);
    const { fetch, store } = openClient();
    const headers = { cookie: 'for=front', 'x-other': 'kept' };
    assert.equal(await (await fetch(`${front.url}/start`, { headers })).text(), 'sold /quote');
    assert.ok(
      shop.seen.every((seen) => seen.headers.cookie === undefined && seen.headers['x-other'] === 'kept'),
    );
    assert.equal((await store.list(shop.origin)).length, 1);
    assert.equal((await store.list(front.url)).length, 0);
    const post = fetch(`${front.url}/start`, { method: 'POST', body: 'x' });
    await assert.rejects(post, failsWith('not-replayable'));
    assert.equal(node.paid.length, 1);
  });
});

describe('a token', () => {
  it('is used again in the space it was bought for', async () => {
    const shop = await openShop({ wareOf: () => PASS });
    const { fetch } = openClient();
    await fetch(`${shop.origin}/library/a`);
    await fetch(`${shop.origin}/library/b/c`);
    assert.deepEqual(
      shop.seen.map(({ status }) => status),
      [402, 200, 200],
    );
    assert.equal(node.paid.length, 1);
  });

  it('is not sent elsewhere, but found by its service and remembered there', async () => {
    const shop = await openShop({ wareOf: () => PASS });
    const { fetch } = openClient();
    await fetch(`${shop.origin}/one`);
    await fetch(`${shop.origin}/two`);
    await fetch(`${shop.origin}/two`);
    assert.deepEqual(
      shop.seen.map(({ status, headers }) => [status, headers.authorization !== undefined]),
      [
        [402, false],
        [200, true],
        [402, false],
        [200, true],
        [200, true],
      ],
    );
    assert.equal(node.paid.length, 1);
  });

  it('that is used up is replaced, once', async () => {
    const shop = await openShop({ wareOf: () => PACK });
    const { fetch } = openClient();
    for (let call = 0; call < 9; call += 1) assert.equal((await fetch(`${shop.origin}/pack/a`)).status, 200);
    assert.equal(node.paid.length, 3);
  });

  it('of another service of the origin is bought separately', async () => {
    const shop = await openShop({ wareOf: (path) => (path.startsWith('/pack/') ? PACK : PASS) });
    const { fetch, store } = openClient();
    await fetch(`${shop.origin}/pack/a`);
    await fetch(`${shop.origin}/library/a`);
    await fetch(`${shop.origin}/pack/b`);
    assert.equal(node.paid.length, 2);
    assert.deepEqual((await store.list(shop.origin)).map(({ service }) => service).sort(), [
      'library',
      'pack',
    ]);
  });
});

describe('tokens of two services in one folder', () => {
  const wareOf = (path: string) => (path === '/api/pack' ? PACK : PASS);

  it('are kept when the other service refuses them', async () => {
    const shop = await openShop({ wareOf });
    const { fetch, store } = openClient();
    for (const path of ['pack', 'library', 'pack', 'library', 'pack', 'library', 'pack'])
      assert.equal((await fetch(`${shop.origin}/api/${path}`)).status, 200);
    assert.equal(node.paid.length, 2);
    // Each address is asked for its price once, and then shown the token of its service.
    assert.equal(shop.seen.filter(({ status }) => status === 402).length, 2);
    const states = (await store.list(shop.origin)).map(({ service, state }) => [service, state.kind]);
    assert.deepEqual(states, [
      ['pack', 'spent'],
      ['library', 'ready'],
    ]);
  });

  it('are kept when they were never used and come from an earlier run', async () => {
    const shop = await openShop({ wareOf });
    const first = openClient();
    await first.fetch(`${shop.origin}/api/library`);
    for (const { paymentHash } of await first.store.list(shop.origin))
      await first.store.update(paymentHash, ({ acceptedAtMs: _, ...record }) => record);
    const { fetch } = openClient({ store: first.store });
    for (const path of ['pack', 'library']) await fetch(`${shop.origin}/api/${path}`);
    assert.equal(node.paid.length, 2);
  });

  it('do not let a server be paid once more that takes the money under changing names', async () => {
    let shops = 0;
    const shop = await openShop({
      refuses: true,
      wareOf: () => {
        shops += 1;
        return { ...PACK, service: `pack${shops}` };
      },
    });
    const { fetch } = openClient();
    await assert.rejects(fetch(`${shop.origin}/api/a`), failsWith('paid-but-refused'));
    assert.equal(node.paid.length, 1);
  });
});

describe('parallel requests', () => {
  it('to a pass wait for one purchase', async () => {
    const shop = await openShop({ wareOf: () => PASS });
    const { fetch } = openClient();
    const urls = Array.from({ length: 8 }, (_, at) => `${shop.origin}/library/${at}`);
    const answers = await Promise.all(urls.map((url) => fetch(url)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(node.paid.length, 1);
  });

  it('to a bundle buy no more of them than their calls need', async () => {
    const shop = await openShop({ wareOf: () => PACK });
    const { fetch } = openClient();
    const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(`${shop.origin}/pack/a`)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(node.paid.length >= 3 && node.paid.length <= 5, `${node.paid.length} purchases`);
  });

  it('at a price for each call pay for each', async () => {
    const shop = await openShop();
    const { fetch } = openClient();
    const answers = await Promise.all(Array.from({ length: 6 }, () => fetch(`${shop.origin}/quote`)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(node.paid.length, 6);
  });

  it('can not overspend the budget together', async () => {
    const shop = await openShop();
    const budget = createBudget({ perRequestMsat: sats(1_000), totalMsat: sats(30) });
    const { fetch } = openClient({ budget, maxFeeMsat: () => sats(0) });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => fetch(`${shop.origin}/quote`)),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') failsWith('over-budget')(outcome.reason);
    assert.equal(node.paid.length, 3);
    assert.equal(budget.committedMsat(), 30_000);
  });
});

describe('a server that takes the money', () => {
  it('and answers 402 again is paid once, and the token is kept', async () => {
    const shop = await openShop({ refuses: true });
    const { fetch, store } = openClient();
    await assert.rejects(fetch(`${shop.origin}/quote`), failsWith('paid-but-refused'));
    assert.equal(node.paid.length, 1);
    assert.equal((await store.list(shop.origin))[0]?.state.kind, 'ready');
  });

  it('and loses the answer is asked again under the same key, free', async () => {
    let losses = 1;
    const shop = await openShop({
      onCharged: (request) => {
        if (losses === 0) return false;
        losses -= 1;
        request.socket.destroy();
        return true;
      },
    });
    const { fetch, events } = openClient({ clock: fastClock() });
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(node.paid.length, 1);
    const keys = shop.seen.slice(1).map(({ headers }) => headers['idempotency-key']);
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    assert.ok(events.some(({ type }) => type === 'repeating'));
  });

  it('and loses the answer to a POST leaves the repeat to the caller, who gets it free with the key', async () => {
    let losses = 1;
    const shop = await openShop({
      onCharged: (request) => {
        if (losses === 0) return false;
        losses -= 1;
        request.socket.destroy();
        return true;
      },
    });
    const { fetch } = openClient({ clock: fastClock() });
    const order = { method: 'POST', body: 'order' };
    let key = '';
    await assert.rejects(fetch(`${shop.origin}/quote`, order), (error: PaymentError) => {
      key = error.idempotencyKey ?? '';
      return failsWith('paid-but-lost')(error);
    });
    const answer = await fetch(`${shop.origin}/quote`, { ...order, headers: { 'idempotency-key': key } });
    assert.equal(await answer.text(), 'sold /quote for order');
    assert.equal(node.paid.length, 1);
  });
});

describe('a payment', () => {
  it('that fails for good costs nothing and leaves nothing behind', async () => {
    const shop = await openShop();
    node.mode = 'fail';
    const { fetch, store, budget } = openClient();
    await assert.rejects(fetch(`${shop.origin}/quote`), failsWith('payment-failed'));
    assert.deepEqual(await store.list(shop.origin), []);
    assert.equal(budget.committedMsat(), 0);
  });

  it('whose answer never comes is looked up, not made again', async () => {
    const shop = await openShop();
    node.mode = 'settle-silently';
    const { fetch } = openClient({ payTimeoutMs: 50 });
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(node.paid.length, 1);
    assert.ok(node.lookedUp.length >= 1);
  });

  it('that stays in flight is left to the next request, which does not pay again', async () => {
    const shop = await openShop();
    node.mode = 'in-flight';
    const budget = createBudget({ perRequestMsat: sats(1_000) });
    const { fetch, store } = openClient({ clock: fastClock(), settleTimeoutMs: 3_000, budget });
    await assert.rejects(fetch(`${shop.origin}/quote`), failsWith('payment-unknown'));
    assert.equal((await store.list(shop.origin))[0]?.state.kind, 'pending');
    assert.ok(budget.committedMsat() >= 10_000, 'the money stays set aside');
    node.setState(node.paid[0] ?? '', 'SUCCEEDED');
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(node.paid.length, 1);
    assert.equal(budget.committedMsat(), 10_000);
  });

  it('that the wallet never saw is made for the same invoice, never for a second one', async () => {
    const shop = await openShop();
    node.mode = 'lost';
    const lost = openClient({ clock: fastClock(), payTimeoutMs: 20, settleTimeoutMs: 1_000 });
    await assert.rejects(lost.fetch(`${shop.origin}/quote`), failsWith('payment-unknown'));
    node.mode = 'settle';
    const { fetch } = openClient({ store: lost.store });
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(new Set(node.paid).size, 1);
  });

  it('goes on to its end when the caller aborts, and its token serves the next request', async () => {
    const shop = await openShop({ wareOf: () => PASS });
    const aborter = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const { fetch } = openClient({
      onEvent: (event) => {
        if (event.type === 'paying') aborter.abort(new Error('enough'));
        if (event.type === 'paid') resolve();
      },
    });
    await assert.rejects(fetch(`${shop.origin}/library/a`, { signal: aborter.signal }), /enough/);
    await promise;
    assert.equal((await fetch(`${shop.origin}/library/a`)).status, 200);
    assert.equal(node.paid.length, 1);
  });
});

describe('a crash', () => {
  const openStore = (name: string): TokenStore =>
    createFileTokenStore({ file: join(folder, name, 'tokens.json') });

  it('between payment and retry buys nothing twice: the reopened store has the token', async () => {
    const shop = await openShop();
    const { promise, resolve } = Promise.withResolvers<void>();
    const dead = openClient({
      store: openStore('retry'),
      onEvent: (event) => {
        if (event.type === 'paid') resolve();
      },
      // Dies after the token is written down: the request is never sent again.
      fetch: (input, init) =>
        new Headers(init?.headers).has('authorization') ? new Promise(() => undefined) : fetch(input, init),
    });
    void dead.fetch(`${shop.origin}/quote`);
    await promise;
    const next = openClient({ store: openStore('retry') });
    assert.equal((await next.fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(node.paid.length, 1);
  });

  it('during the payment buys nothing twice: the payment is looked up', async () => {
    const shop = await openShop();
    const { promise, resolve } = Promise.withResolvers<void>();
    const dead = openClient({
      store: openStore('payment'),
      clock: fastClock(),
      wallet: {
        lookupPayment: node.wallet.lookupPayment,
        // Dies after the node paid and before it hears of it.
        payInvoice: async (bolt11, options) => {
          await node.wallet.payInvoice(bolt11, options);
          resolve();
          return new Promise(() => undefined);
        },
      },
    });
    void dead.fetch(`${shop.origin}/quote`);
    await promise;
    assert.equal((await openStore('payment').list(shop.origin))[0]?.state.kind, 'pending');
    const next = openClient({ store: openStore('payment') });
    assert.equal((await next.fetch(`${shop.origin}/quote`)).status, 200);
    assert.equal(node.paid.length, 1);
    assert.ok(next.events.some((event) => event.type === 'paid' && event.recovered));
  });

  it('before the payment began is forgotten when the invoice has expired', async () => {
    const shop = await openShop();
    const store = openStore('expired');
    const { fetch } = openClient({ store });
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 10_000 });
    await store.put({
      paymentHash,
      invoice,
      origin: shop.origin,
      service: 'quote',
      scopes: ['/quote'],
      scheme: 'L402',
      macaroon: 'AgEE',
      amountMsat: sats(10),
      invoiceExpiresAtSec: 1_700_000_000,
      createdAtMs: 0,
      state: { kind: 'pending' },
    });
    assert.equal((await fetch(`${shop.origin}/quote`)).status, 200);
    assert.ok(!node.paid.includes(paymentHash));
    assert.equal((await store.list(shop.origin)).length, 1);
  });
});
