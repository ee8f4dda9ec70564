import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  type Budget,
  createBudget,
  createMemoryTokenStore,
  createPayingClient,
  type PaidStream,
  type PayingClient,
  type PayingFetchOptions,
  type PaymentError,
  type PaymentEvent,
  sats,
  type TokenStore,
  type TopUpRule,
} from '../../client/index.ts';
import {
  type FakeGateway,
  quiet,
  type SteppedClock,
  startGateway,
  steppedClock,
  until,
} from './fake-gateway.ts';
import { startNode, type TestNode } from './support.ts';

const RULE: TopUpRule = { belowMs: 15_000, amountMsat: sats(20) };
const ACCOUNT = 'GET /.l402/account 200';
const TOPUP = 'POST /.l402/topup 200';

let node: TestNode;
let gateway: FakeGateway;
let clock: SteppedClock;
let streams: PaidStream[];

beforeEach(async () => {
  clock = steppedClock();
  node = await startNode();
  gateway = await startGateway(node, clock);
  streams = [];
});
afterEach(async () => {
  for (const stream of streams) await Promise.all([stream.close(), passTime(stream.done)]);
  await gateway.close();
  await node.close();
});

/** Lets time pass until something is over. */
async function passTime<T>(promise: Promise<T>, stepMs = 200): Promise<T> {
  let over = false;
  const watched = promise.finally(() => {
    over = true;
  });
  watched.catch(() => undefined);
  for (let turn = 0; turn < 500 && !over; turn += 1) await clock.advance(stepMs);
  return watched;
}

interface Subject {
  readonly client: PayingClient;
  readonly events: PaymentEvent[];
  readonly store: TokenStore;
  readonly budget: Budget;
}

function openClient(options: Partial<PayingFetchOptions> = {}): Subject {
  const events: PaymentEvent[] = [];
  const store = options.store ?? createMemoryTokenStore({ nowMs: clock.nowMs });
  const budget = options.budget ?? createBudget({ perRequestMsat: sats(1_000) });
  const onEvent = (event: PaymentEvent): number => events.push(event);
  const client = createPayingClient({ wallet: node.wallet, onEvent, clock, ...options, store, budget });
  return { client, events, store, budget };
}

interface Opened extends Subject {
  readonly stream: PaidStream;
  /** What the body has brought so far. */
  readonly text: () => string;
  /** Why the body failed. */
  readonly failure: () => unknown;
}

async function openStream(
  subject: Subject = openClient(),
  { autoTopUp = RULE, path = '/live' }: { autoTopUp?: TopUpRule | false; path?: string } = {},
): Promise<Opened> {
  const stream = await subject.client.stream(gateway.origin + path, { autoTopUp });
  streams.push(stream);
  let text = '';
  let failure: unknown;
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream.response.body ?? []) text += decoder.decode(chunk, { stream: true });
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  await until('the stream is open', () => gateway.streams.length > 0);
  return { ...subject, stream, text: () => text, failure: () => failure };
}

function named(events: readonly PaymentEvent[], type: PaymentEvent['type']): readonly PaymentEvent[] {
  return events.filter((event) => event.type === type);
}

/** The feed says how much is left, and so it is. */
async function feedSays(balanceMsat: number, name = 'balance'): Promise<void> {
  await until('the feed is open', () => gateway.feeds.length > 0);
  gateway.setBalance(balanceMsat);
  gateway.feeds.at(-1)?.event(name, { type: name, balanceMsat });
}

describe('a paid stream', () => {
  it('tells what is left when what its end had set aside is back', async () => {
    const { stream, text } = await openStream();
    await feedSays(42_000);
    await until('the balance is known', () => stream.balance()?.balanceMsat === 42_000);
    gateway.setAside.push(100, 100, 40);
    gateway.streams[0]?.end();
    // Slowly: what is asked has its answers before the time for the last question is over.
    const { balanceMsat, usedMsat } = await passTime(stream.done, 4);
    assert.deepEqual([balanceMsat, usedMsat, text()], [42_000, 18_000, '']);
  });

  it('buys the deposit, passes the body on and tells what is left', async () => {
    const { stream, text, events } = await openStream();
    gateway.streams[0]?.event('message', { n: 1 });
    await until('the event has come', () => text().includes('"n":1'));
    assert.equal(stream.response.status, 200);
    assert.equal(stream.response.url, `${gateway.origin}/live`);
    await feedSays(42_000);
    await until('the balance is known', () => stream.balance()?.balanceMsat === 42_000);
    assert.equal(stream.balance()?.msatPerSec, 100);
    assert.equal(stream.balance()?.lastsMs, 420_000);
    gateway.streams[0]?.end();
    const { elapsedMs, ...summary } = await passTime(stream.done);
    assert.ok(elapsedMs >= 0);
    assert.deepEqual(summary, {
      end: 'complete',
      bytes: text().length,
      paidMsat: 60_000,
      feeMsat: 0,
      topUps: 0,
      balanceMsat: 42_000,
      usedMsat: 18_000,
    });
    assert.equal(named(events, 'paid').length, 1);
    await until('the feed is given up', () => gateway.feeds.length === 1);
    await gateway.feeds[0]?.closed;
  });

  it('is topped up before it is empty, once for one need, and is not interrupted', async () => {
    const { stream, text, failure, events, store } = await openStream();
    await feedSays(1_400);
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
    for (let repeat = 0; repeat < 5; repeat += 1) gateway.feeds[0]?.event('balance', { balanceMsat: 1_300 });
    gateway.feeds[0]?.event('warning', { balanceMsat: 1_300, remainingMs: 13_000 });
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 1, 'what was heard late pays nothing');
    assert.equal(gateway.balances.get(gateway.account()), 21_400);
    assert.deepEqual(node.paid.length, 2);
    gateway.streams[0]?.event('message', { n: 2 });
    await until('the stream goes on', () => text().includes('"n":2'));
    assert.equal(gateway.streams.length, 1);
    assert.equal(failure(), undefined);
    // The new token is what the next request uses; the first one is of no more use.
    const states = (await store.list(gateway.origin)).map(({ state }) => state.kind);
    assert.deepEqual(states, ['spent', 'ready']);
    gateway.streams[0]?.end();
    const summary = await passTime(stream.done);
    assert.deepEqual([summary.paidMsat, summary.topUps], [80_000, 1]);
  });

  it('is topped up again for the next need', async () => {
    const { events } = await openStream();
    await feedSays(1_000);
    await until('a first top-up', () => named(events, 'topped-up').length === 1);
    await clock.advance(1_000);
    await feedSays(900);
    await until('a second top-up', () => named(events, 'topped-up').length === 2);
    assert.equal(gateway.count(TOPUP), 2);
  });

  it('is topped up when the gateway says in the stream that the money is used up', async () => {
    const { events } = await openStream(openClient(), {
      autoTopUp: { belowMs: 0, belowMsat: sats(0), amountMsat: sats(20) },
    });
    await until('the feed is open', () => gateway.feeds.length > 0);
    gateway.setBalance(60);
    gateway.streams[0]?.event('payment-need-topup', { type: 'payment-need-topup', balanceMsat: 60 });
    gateway.feeds[0]?.event('payment-need-topup', { type: 'payment-need-topup', balanceMsat: 60 });
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 1);
  });

  it('pays nothing for what an upstream writes into its own stream while there is enough', async () => {
    const { text } = await openStream();
    for (let repeat = 0; repeat < 20; repeat += 1) {
      gateway.streams[0]?.event('payment-need-topup', { balanceMsat: 0 });
    }
    await until('it was read', () => text().split('payment-need-topup').length === 21);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 0);
    assert.equal(node.paid.length, 1);
  });

  it('without a feed is asked for its balance, and topped up in time', async () => {
    gateway.hasFeed = false;
    const { events, stream } = await openStream();
    await clock.advance(3_100);
    await quiet(gateway);
    const asked = gateway.count(ACCOUNT);
    assert.ok(asked >= 1, 'it is asked every three seconds');
    gateway.setBalance(1_000);
    await clock.advance(3_100);
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
    assert.equal(stream.balance()?.balanceMsat, 21_000);
    assert.equal(
      gateway.count('GET /.l402/account/events 404'),
      1,
      'a feed that is not there is not asked for again',
    );
  });

  it('asks by itself when the money should be running low and the feed is silent', async () => {
    const { events } = await openStream();
    await feedSays(1_600);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 0);
    gateway.setBalance(1_450);
    await clock.advance(1_500);
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
  });

  it('opens its feed again when that breaks off', async () => {
    const { stream, events } = await openStream();
    await feedSays(50_000);
    await until('it was heard', () => stream.balance()?.balanceMsat === 50_000);
    gateway.faults.set('/.l402/account/events', [{ status: 503 }, 'lost']);
    gateway.feeds[0]?.reset();
    for (let turn = 0; turn < 40 && gateway.feeds.length < 2; turn += 1) await clock.advance(500);
    await feedSays(1_000);
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
  });

  it('with autoTopUp false is only watched, and topped up when it is told to', async () => {
    const { stream, events } = await openStream(openClient(), { autoTopUp: false });
    await feedSays(100);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 0);
    await stream.topUp(sats(5));
    assert.equal(stream.balance()?.balanceMsat, 5_100);
    assert.equal(named(events, 'topped-up').length, 1);
  });

  it('shares one top-up with a parallel stream of the same account', async () => {
    const subject = openClient();
    await openStream(subject);
    await openStream(subject);
    await until('both feeds are open', () => gateway.feeds.length === 2);
    assert.equal(node.paid.length, 1, 'one deposit for both');
    gateway.setBalance(1_000);
    for (const feed of gateway.feeds) feed.event('balance', { balanceMsat: 1_000 });
    await until('a top-up was credited', () => named(subject.events, 'topped-up').length === 1);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 1);
  });

  it('tops up once after a burst that took everything, not twice', async () => {
    const { stream, events } = await openStream();
    await until('the feed is open', () => gateway.feeds.length > 0);
    await clock.advance(1_000);
    await feedSays(0, 'payment-need-topup');
    await until('a top-up was credited', () => named(events, 'topped-up').length === 1);
    await feedSays(20_000);
    await clock.advance(1_000);
    await quiet(gateway);
    assert.deepEqual([gateway.count(TOPUP), stream.balance()?.balanceMsat], [1, 20_000]);
  });

  it('closed by its caller ends its connection and its charge', async () => {
    const { stream, failure } = await openStream();
    const closing = stream.close();
    await gateway.streams[0]?.closed;
    const summary = await passTime(stream.done);
    await closing;
    assert.equal(summary.end, 'closed');
    await until('the body has failed', () => failure() !== undefined);
    assert.equal((failure() as Error).name, 'AbortError');
  });

  it('that costs nothing, or is paid by the call, is not followed', async () => {
    gateway.price = '60000msat/call';
    const { stream } = await openStream();
    await quiet(gateway);
    assert.equal(gateway.log.filter((line) => line.includes('/.l402/')).length, 0);
    await assert.rejects(stream.topUp(), { code: 'top-up-refused' });
  });
});

describe('a stream that is closed while it is topped up', () => {
  it('waits for the payment, and tells of it as of any other', async () => {
    const { stream, events } = await openStream();
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const { promise: closing, resolve: goOn } = Promise.withResolvers<void>();
    gateway.onTopUpAsked = () => {
      onAsked();
      return closing;
    };
    await feedSays(1_000);
    await asked;
    const closed = stream.close();
    await gateway.streams[0]?.closed;
    goOn();
    await until('the top-up was credited', () => named(events, 'topped-up').length === 1);
    const { topUps, paidMsat, balanceMsat, usedMsat, pendingTopUpMsat } = await passTime(stream.done, 4);
    await closed;
    assert.deepEqual([topUps, paidMsat, balanceMsat, usedMsat], [1, 80_000, 21_000, 59_000]);
    assert.equal(pendingTopUpMsat, undefined);
  });

  it('names a payment whose end does not come, and does not wait for ever', async () => {
    const { stream } = await openStream();
    node.mode = 'in-flight';
    await feedSays(1_000);
    await until('it is being paid', () => node.paid.length === 2);
    const closed = stream.close();
    const { topUps, paidMsat, balanceMsat, usedMsat, pendingTopUpMsat } = await passTime(stream.done);
    await closed;
    assert.deepEqual([topUps, paidMsat, balanceMsat, usedMsat], [0, 60_000, 1_000, undefined]);
    assert.equal(pendingTopUpMsat, 20_000);
  });

  it('names a payment that was made and that the gateway has not answered to', async () => {
    const { stream, events } = await openStream();
    gateway.onTopUpAsked = () => {
      gateway.faults.set(
        '/.l402/account',
        Array.from({ length: 500 }, () => ({ status: 503 })),
      );
    };
    await feedSays(1_000);
    await until('it is paid', () => named(events, 'paid').length === 2);
    const closed = stream.close();
    const { topUps, paidMsat, usedMsat, pendingTopUpMsat } = await passTime(stream.done);
    await closed;
    assert.deepEqual([topUps, paidMsat, usedMsat, pendingTopUpMsat], [0, 80_000, undefined, 20_000]);
  });

  it('pays for nothing that had not been begun', async () => {
    const { stream } = await openStream();
    const closed = stream.close();
    await gateway.streams[0]?.closed;
    await feedSays(1_000);
    assert.deepEqual([(await passTime(stream.done)).pendingTopUpMsat, node.paid.length], [undefined, 1]);
    await closed;
  });
});

describe('the end of the money', () => {
  it('after the last top-up that the budget allows is a cut, and nothing more is paid', async () => {
    const budget = createBudget({ perRequestMsat: sats(85) });
    const { events, failure, stream } = await openStream(openClient({ budget }));
    await feedSays(1_000);
    await until('the one top-up that fits', () => named(events, 'topped-up').length === 1);
    await clock.advance(1_000);
    await feedSays(900);
    await until('the budget is reached', () => named(events, 'top-up-failed').length === 1);
    const [failed] = named(events, 'top-up-failed');
    assert.ok(failed?.type === 'top-up-failed' && failed.code === 'over-budget' && !failed.again);
    for (let repeat = 0; repeat < 3; repeat += 1) await feedSays(500);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 2, 'the second offer was looked at, and then no more were asked for');
    assert.equal(node.paid.length, 2);
    gateway.setBalance(0);
    gateway.streams[0]?.event('session-timeout', { type: 'session-timeout', cutBy: 'unpaid' });
    gateway.streams[0]?.end();
    const summary = await passTime(stream.done);
    assert.deepEqual([summary.end, summary.paidMsat], ['cut', 80_000]);
    await until('the body has failed', () => failure() !== undefined);
    assert.equal((failure() as PaymentError).code, 'stream-cut');
    assert.match((failure() as Error).message, /only 5 sat is left for this request/);
  });

  it('that comes while its top-up is being paid does not end a stream of events: it goes on where it was', async () => {
    const { events, text, stream, failure } = await openStream();
    gateway.streams[0]?.event('message', { n: 1 }, 'first');
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    gateway.onTopUpAsked = async () => {
      gateway.setBalance(0);
      gateway.streams[0]?.write('event: message\ndata: {"n":"ha');
      gateway.streams[0]?.reset();
      await gateway.streams[0]?.closed;
      onAsked();
    };
    gateway.setBalance(30);
    gateway.streams[0]?.event('payment-need-topup', { balanceMsat: 30 });
    await asked;
    await passTime(until('it was opened again', () => gateway.streams.length === 2));
    assert.equal(gateway.streams[1]?.headers['last-event-id'], 'first');
    gateway.streams[1]?.event('message', { n: 2 }, 'second');
    await until('the stream goes on', () => text().includes('"n":2'));
    assert.ok(!text().includes('"ha'), 'half an event is not passed on');
    assert.equal(failure(), undefined);
    assert.deepEqual([named(events, 'reopening').length, gateway.count(TOPUP), node.paid.length], [1, 1, 2]);
    gateway.streams[1]?.end();
    assert.equal((await passTime(stream.done)).end, 'complete');
  });

  it('buys no new deposit when the stream can not be opened again', async () => {
    const { failure, stream } = await openStream();
    gateway.onTopUpAsked = async () => {
      gateway.streams[0]?.event('session-timeout', { cutBy: 'unpaid' });
      gateway.streams[0]?.end();
    };
    gateway.setBalance(30);
    // Whatever was credited is gone at once: other streams of the account were faster.
    gateway.onStreamAsked = () => gateway.setBalance(0);
    gateway.streams[0]?.event('payment-need-topup', { balanceMsat: 30 });
    const { end } = await passTime(stream.done);
    assert.equal(end, 'cut');
    assert.equal(node.paid.length, 2, 'the deposit and one top-up');
    assert.equal((failure() as PaymentError).code, 'stream-cut');
  });

  it('resets a plain download, and says that it is not complete', async () => {
    gateway.contentType = 'application/octet-stream';
    gateway.price = '10msat/1000B';
    const { failure, stream, text } = await openStream(openClient(), { autoTopUp: false });
    gateway.streams[0]?.write('part');
    await until('it was read', () => text() === 'part');
    await feedSays(0, 'payment-need-topup');
    await until('it was heard', () => stream.balance()?.balanceMsat === 0);
    gateway.streams[0]?.reset();
    const summary = await passTime(stream.done);
    assert.deepEqual([summary.end, summary.bytes, summary.usedMsat], ['cut', 4, 60_000]);
    assert.equal((failure() as PaymentError).code, 'stream-cut');
  });

  it('is told from a connection that breaks off', async () => {
    const { failure, stream } = await openStream();
    await until('the feed is open', () => gateway.feeds.length > 0);
    gateway.streams[0]?.reset();
    assert.equal((await passTime(stream.done)).end, 'failed');
    assert.notEqual((failure() as PaymentError).code, 'stream-cut');
  });
});

describe('credit that is too little for one request', () => {
  it('is paid up on the same account, and nothing of it is lost', async () => {
    gateway.depositMsat = 10_000;
    gateway.leastMsat = 15_000;
    const { events, store } = openClient();
    const client = createPayingClient({
      wallet: node.wallet,
      budget: createBudget({ perRequestMsat: sats(100) }),
      store,
      clock,
    });
    const response = await client.fetch(`${gateway.origin}/file`);
    await response.body?.cancel();
    assert.deepEqual([response.status, node.paid.length, events.length], [200, 2, 0]);
    assert.deepEqual([...gateway.balances.values()], [20_000]);
    const states = (await store.list(gateway.origin)).map(({ state }) => state.kind);
    assert.deepEqual(states, ['spent', 'ready'], 'the newest token spends it all');
  });

  it('is kept when the rest is not bought', async () => {
    gateway.depositMsat = 10_000;
    gateway.leastMsat = 25_000;
    const { client, store } = openClient();
    await assert.rejects(client.fetch(`${gateway.origin}/file`), { code: 'too-many-purchases' });
    assert.equal(node.paid.length, 2);
    gateway.leastMsat = 1;
    await (await client.fetch(`${gateway.origin}/small`)).body?.cancel();
    assert.equal(node.paid.length, 2);
    assert.ok((await store.list(gateway.origin)).some(({ state }) => state.kind === 'ready'));
  });
});

describe('a credential to be used elsewhere', () => {
  it('is not said to cost nothing when the price was not told', async () => {
    const { client } = openClient();
    const buy = () => client.buyCredential(`${gateway.origin}/live`, { amountMsat: sats(60) });
    for (const status of [429, 503]) {
      gateway.faults.set('/live', [{ status }]);
      await assert.rejects(buy(), { code: 'no-challenge', message: new RegExp(`answered ${status} and`) });
    }
    gateway.faults.set('/live', [{ status: 404 }]);
    assert.equal(await buy(), undefined);
    assert.equal((await buy())?.paidMsat, 60_000);
  });
});

describe('a top-up', () => {
  it('that the gateway refuses is not asked for again', async () => {
    gateway.faults.set('/.l402/topup', [{ status: 403 }]);
    const { events } = await openStream();
    await feedSays(1_000);
    await until('it was refused', () => named(events, 'top-up-failed').length === 1);
    await feedSays(900);
    await clock.advance(20_000);
    await quiet(gateway);
    assert.deepEqual(
      gateway.log.filter((line) => line.includes('topup')),
      ['POST /.l402/topup 403'],
    );
    const [failed] = named(events, 'top-up-failed');
    assert.ok(failed?.type === 'top-up-failed' && failed.code === 'top-up-refused');
  });

  it('is asked for again when the gateway is busy, as late as it says, and when its answer was lost', async () => {
    gateway.faults.set('/.l402/topup', [{ status: 429, retryAfter: 3 }, 'lost']);
    const { events } = await openStream();
    const beganMs = clock.nowMs();
    await feedSays(1_000);
    await passTime(until('a top-up was credited', () => named(events, 'topped-up').length === 1));
    assert.ok(clock.nowMs() - beganMs >= 3_000);
    assert.deepEqual([named(events, 'top-up-failed').length, node.paid.length], [2, 2]);
  });

  it('that was paid without an answer is looked up, and not paid again', async () => {
    const { events, budget } = await openStream(openClient({ payTimeoutMs: 1_000, settleTimeoutMs: 2_000 }));
    node.mode = 'settle-silently';
    await feedSays(1_000);
    await passTime(until('a top-up was credited', () => named(events, 'topped-up').length === 1));
    assert.equal(node.paid.length, 2);
    assert.equal(gateway.count(TOPUP), 1);
    assert.equal(budget.committedMsat(), 80_000);
  });

  it('of which nobody can say what became is looked up until it is known, and no other is bought beside it', async () => {
    const { events, stream } = await openStream(openClient({ payTimeoutMs: 1_000, settleTimeoutMs: 1_000 }));
    node.mode = 'in-flight';
    await feedSays(1_000);
    await passTime(until('it is not known', () => named(events, 'top-up-failed').length === 2));
    const codes = named(events, 'top-up-failed').map((event) => event.type === 'top-up-failed' && event.code);
    assert.deepEqual([...new Set(codes)], ['payment-unknown']);
    assert.equal(gateway.count(TOPUP), 1);
    node.setState(node.paid.at(-1) ?? '', 'SUCCEEDED');
    await passTime(until('a top-up was credited', () => named(events, 'topped-up').length === 1));
    assert.deepEqual([gateway.count(TOPUP), node.paid.length], [1, 2]);
    gateway.streams[0]?.end();
    const summary = await passTime(stream.done);
    assert.equal(summary.paidMsat, 80_000, 'what this process paid is counted, however late it was known');
  });

  it('that a process which died had paid is credited by the next one', async () => {
    const store = createMemoryTokenStore({ nowMs: clock.nowMs });
    const first = await openStream(openClient({ store, payTimeoutMs: 1_000, settleTimeoutMs: 1_000 }));
    node.mode = 'in-flight';
    await feedSays(1_000);
    await passTime(until('it is not known', () => named(first.events, 'top-up-failed').length === 1));
    await Promise.all([first.stream.close(), passTime(first.stream.done)]);
    node.mode = 'settle';
    node.setState(node.paid.at(-1) ?? '', 'SUCCEEDED');
    const second = await openStream(openClient({ store }));
    await passTime(until('a top-up was credited', () => named(second.events, 'topped-up').length === 1));
    assert.deepEqual([gateway.count(TOPUP), node.paid.length], [1, 2]);
    assert.ok(named(second.events, 'paid').every((event) => event.type === 'paid' && event.recovered));
    gateway.streams.at(-1)?.end();
    assert.equal((await passTime(second.stream.done)).paidMsat, 0);
  });

  it('whose credit is not answered to at first is presented until it is', async () => {
    const { events } = await openStream();
    gateway.onTopUpAsked = () => {
      gateway.faults.set('/.l402/account', [{ status: 503 }, 'lost', { status: 502 }]);
    };
    await feedSays(1_000);
    await passTime(until('a top-up was credited', () => named(events, 'topped-up').length === 1));
    assert.deepEqual([gateway.count(TOPUP), node.paid.length], [1, 2]);
  });

  it('keeps the balance spendable after the first token has expired', async () => {
    gateway.validForSec = 120;
    const subject = openClient();
    const { events, stream } = await openStream(subject);
    await clock.advance(60_000);
    await feedSays(1_000);
    await passTime(until('a top-up was credited', () => named(events, 'topped-up').length === 1));
    await Promise.all([stream.close(), passTime(stream.done)]);
    await clock.advance(90_000);
    const before = gateway.streams.length;
    await openStream(subject);
    await until('it is open', () => gateway.streams.length === before + 1);
    assert.equal(node.paid.length, 2, 'the first token is over, and nothing is bought');
  });
});

describe('a hostile gateway', () => {
  const refusals: readonly [string, FakeGateway['bendTopUp']][] = [
    [
      'asks for more than was asked for',
      (answer) => Object.assign(answer, node.newInvoice({ amountMsat: 900_000 }), { amountMsat: 900_000 }),
    ],
    [
      'offers a token of another account',
      (answer) => Object.assign(answer, { macaroon: 'AgEEbHNhdAIBAAAABiAA' }),
    ],
    [
      'offers an invoice of another payment',
      (answer) => Object.assign(answer, { invoice: node.newInvoice({ amountMsat: 20_000 }).invoice }),
    ],
    ['answers nonsense', (answer) => Object.assign(answer, { invoice: 'lnbc1', macaroon: 7 })],
  ];
  for (const [what, bend] of refusals) {
    it(`that ${what} is not paid, nor asked again`, async () => {
      gateway.bendTopUp = bend;
      const { events } = await openStream();
      await feedSays(1_000);
      await until('it was refused', () => named(events, 'top-up-failed').length === 1);
      await clock.advance(20_000);
      await quiet(gateway);
      assert.deepEqual([node.paid.length, gateway.count(TOPUP)], [1, 1]);
    });
  }

  it('that takes money and credits nothing gets three top-ups at most', async () => {
    gateway.credits = false;
    const { events } = await openStream();
    await feedSays(1_000);
    const gaveUp = (): boolean =>
      events.some((event) => event.type === 'top-up-failed' && event.code === 'paid-but-refused');
    for (let rounds = 0, after = 0; rounds < 60 && after < 3; rounds += 1) {
      if (gaveUp()) after += 1;
      await clock.advance(2_000);
      gateway.feeds.at(-1)?.event('balance', { balanceMsat: 900 });
      await quiet(gateway);
    }
    assert.equal(node.paid.length, 4, 'the deposit, and three top-ups');
    const last = named(events, 'top-up-failed').at(-1);
    assert.ok(last?.type === 'top-up-failed' && last.code === 'paid-but-refused');
  });

  it('that refuses a token which was paid for gets nothing more', async () => {
    const { events } = await openStream();
    gateway.onTopUpAsked = () => {
      gateway.faults.set('/.l402/account', [{ status: 403 }]);
    };
    await feedSays(1_000);
    await until('it was refused', () => named(events, 'top-up-failed').length === 1);
    await feedSays(900);
    await clock.advance(10_000);
    await quiet(gateway);
    assert.deepEqual([node.paid.length, gateway.count(TOPUP)], [2, 1]);
  });

  it('that writes nonsense into its feed is not believed', async () => {
    const { stream } = await openStream();
    await feedSays(50_000);
    await until('it was heard', () => stream.balance()?.balanceMsat === 50_000);
    for (const data of [
      '',
      'null',
      '[]',
      '{"balanceMsat":-1}',
      '{"balanceMsat":1e99}',
      '{"balanceMsat":"5"}',
      '{',
    ]) {
      gateway.feeds[0]?.write(`event: balance\ndata: ${data}\n\n`);
    }
    gateway.feeds[0]?.event('constructor', {});
    gateway.feeds[0]?.event('__proto__', {});
    gateway.feeds[0]?.write(`data: ${'x'.repeat(200_000)}`);
    gateway.feeds[0]?.write('\n\nevent: balance\ndata: {"balanceMsat":49000}\n\n');
    await until('the next one was heard', () => stream.balance()?.balanceMsat === 49_000);
    await quiet(gateway);
    assert.equal(gateway.count(TOPUP), 0);
  });
});
