import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import {
  createBudget,
  createMemoryTokenStore,
  createPayingClient,
  createQrWallet,
  type PaidStream,
  type PaymentEvent,
  SseReader,
  sats,
  type TopUpRule,
  type Wallet,
} from '../../client/index.ts';
import { connectWithHeader } from '../../client/node.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { msat } from '../../node/msat.ts';
import { type TestService, testService } from '../support/config.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from './fake-gateway.ts';

const PRICE = '10 sat/second';
/** A tenth of a second of the stream is a sat: a test sees several needs in a second. */
const QUICK = { depositMsat: msat(5_000), sliceMs: 100, holdMs: 5_000, warnMs: 0 };

let demo: DemoUpstream;
let gateway: TestGateway;
const open: { close(): Promise<unknown> }[] = [];

before(async () => {
  demo = await startDemoUpstream({ tickMs: 20 });
});
after(() => demo.close());
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await gateway.stop();
});

async function sell(metering: TestService['metering'], path = '/live', price = PRICE): Promise<void> {
  const service = testService({
    name: 'live',
    path,
    price,
    upstream: demo.url,
    metering: { ...QUICK, ...metering },
  });
  gateway = await startTestGateway([service], { store: createMemoryStore({ nowMs: Date.now }) });
}

interface Subject {
  readonly stream: PaidStream;
  readonly events: PaymentEvent[];
  /** The counts of the upstream's events that were read. */
  readonly counts: number[];
  readonly failure: () => unknown;
}

function openClient(wallet: Wallet, events: PaymentEvent[], limitSats = 1_000) {
  return createPayingClient({
    wallet,
    budget: createBudget({ perRequestMsat: sats(limitSats) }),
    store: createMemoryTokenStore(),
    maxFeeMsat: () => sats(1),
    onEvent: (event) => events.push(event),
  });
}

async function watch(
  autoTopUp: TopUpRule | false,
  { wallet = gateway.payer, limitSats = 1_000 }: { wallet?: Wallet; limitSats?: number } = {},
): Promise<Subject> {
  const events: PaymentEvent[] = [];
  const stream = await openClient(wallet, events, limitSats).stream(`${gateway.url}/live`, { autoTopUp });
  open.push(stream);
  const counts: number[] = [];
  let failure: unknown;
  const read = async (): Promise<void> => {
    const reader = new SseReader();
    for await (const chunk of stream.response.body ?? []) {
      for (const { event } of reader.push(chunk)) {
        if (event?.name === 'message') counts.push(JSON.parse(event.data).count);
      }
    }
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  return { stream, events, counts, failure: () => failure };
}

function count(events: readonly PaymentEvent[], type: PaymentEvent['type']): number {
  return events.filter((event) => event.type === type).length;
}

describe('a client and a gateway', () => {
  it('keep a stream going over several top-ups, without a gap', async () => {
    await sell({});
    const { stream, events, counts, failure } = await watch({ belowMs: 300, amountMsat: sats(5) });
    await until('three top-ups', () => count(events, 'topped-up') >= 3);
    const read = counts.length;
    await until('it goes on', () => counts.length > read + 5);
    assert.equal(failure(), undefined);
    assert.deepEqual(
      counts,
      counts.map((_, at) => at + 1),
    );
    assert.equal(count(events, 'reopening'), 0);
    await stream.close();
    const summary = await stream.done;
    assert.equal(summary.end, 'closed');
    assert.equal(summary.paidMsat, 5_000 + 5_000 * summary.topUps);
    assert.ok((summary.usedMsat ?? 0) + (summary.balanceMsat ?? 0) === summary.paidMsat);
  });

  it('go on after a hold, when the payment takes longer than the money lasts', async () => {
    await sell({});
    const wallet: Wallet = { ...gateway.payer, payInvoice: slowly(gateway.payer, 400) };
    const { events, counts, failure } = await watch({ belowMs: 0, amountMsat: sats(20) }, { wallet });
    await until('the stream goes on', () =>
      events.some((event) => event.type === 'notice' && event.notice === 'resumed'),
    );
    const read = counts.length;
    await until('events come again', () => counts.length > read + 5);
    // The gateway credits it before the client is told.
    await until('the top-up is told of', () => count(events, 'topped-up') > 0);
    assert.deepEqual([failure(), count(events, 'topped-up'), count(events, 'reopening')], [undefined, 1, 0]);
  });

  it('go on where they were when the top-up comes just after the cut', async () => {
    await sell({ holdMs: 50 });
    const wallet: Wallet = { ...gateway.payer, payInvoice: slowly(gateway.payer, 500) };
    const { events, counts, failure } = await watch({ belowMs: 0, amountMsat: sats(20) }, { wallet });
    await until('it was opened again', () => count(events, 'reopening') === 1);
    const read = counts.length;
    await until('events come again', () => counts.length > read + 5);
    assert.equal(failure(), undefined);
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
      'the counter went on after the last event',
    );
    assert.equal(count(events, 'topped-up'), 1);
  });

  it('end a stream whose budget is used up, and say so', async () => {
    await sell({ holdMs: 100 });
    const { stream, failure } = await watch({ belowMs: 300, amountMsat: sats(5) }, { limitSats: 12 });
    const summary = await stream.done;
    await until('the body has failed', () => failure() !== undefined);
    assert.equal(summary.end, 'cut');
    assert.deepEqual([summary.paidMsat, summary.topUps], [10_000, 1]);
    assert.match(String(failure()), /stream was cut because its money ran out.*is left for this request/);
  });

  it('let a person pay, who is shown the invoices', async () => {
    await sell({});
    const shown: string[] = [];
    const wallet = createQrWallet({
      show: (invoice) => {
        shown.push(invoice);
        void gateway.pay(invoice);
      },
    });
    const { stream, events } = await watch(false, { wallet });
    await stream.topUp(sats(50));
    assert.deepEqual([shown.length, count(events, 'topped-up')], [2, 1]);
    assert.ok((stream.balance()?.balanceMsat ?? 0) > 45_000);
  });

  it('keep a WebSocket going', async () => {
    await sell({}, '/ws');
    const events: PaymentEvent[] = [];
    let messages = 0;
    const paid = await openClient(gateway.payer, events).socket(`${gateway.url}/ws`, {
      connect: connectWithHeader,
      onMessage: () => {
        messages += 1;
      },
      autoTopUp: { belowMs: 300, amountMsat: sats(5) },
    });
    await until('two top-ups', () => count(events, 'topped-up') >= 2);
    const read = messages;
    await until('it goes on', () => messages > read + 5);
    paid.socket.close(1000);
    assert.equal((await paid.done).end, 'complete');
  });

  it('go on with a deposit that was set aside as a whole for the answer before, and paid for little of it', async () => {
    await sell({}, '/files/*', '100 msat/KB');
    const events: PaymentEvent[] = [];
    const client = openClient(gateway.payer, events);
    for (const file of ['one', 'two', 'three']) {
      const answer = await client.fetch(`${gateway.url}/files/1kb.txt?${file}`);
      assert.deepEqual([answer.status, answer.headers.get('l402-balance-msat')], [200, '0']);
      await answer.arrayBuffer();
      // What was not used comes back when the gateway has seen the end.
      while ((await gateway.store.totals()).reservedMsat > 0) await new Promise(setImmediate);
    }
    assert.equal(count(events, 'paid'), 1);
    const told = events.filter((event) => event.type === 'answered');
    assert.deepEqual(
      told.map(({ isMetered, balanceMsat }) => [isMetered, balanceMsat]),
      [1, 2, 3].map(() => [true, undefined]),
    );
    assert.equal((await gateway.store.totals()).spentMsat, 300);
  });

  it('sell a credential of any size', async () => {
    await sell({}, '/files/*', '10 msat/KB');
    const events: PaymentEvent[] = [];
    const client = openClient(gateway.payer, events);
    const credential = await client.buyCredential(`${gateway.url}/files/1mb.txt`, { amountMsat: sats(30) });
    assert.deepEqual([credential?.balanceMsat, credential?.paidMsat], [30_000, 30_000]);
    const file = await fetch(`${gateway.url}/files/1mb.txt`, {
      headers: { authorization: `Bearer ${credential?.apiKey}` },
    });
    assert.deepEqual([file.status, (await file.arrayBuffer()).byteLength], [200, 1_000_000]);
  });
});

/** A wallet that takes its time. */
function slowly(payer: Wallet, ms: number): Wallet['payInvoice'] {
  let paid = 0;
  return async (invoice, options) => {
    paid += 1;
    // The first payment opens the stream.
    if (paid > 1) await new Promise((resolve) => setTimeout(resolve, ms));
    return payer.payInvoice(invoice, options);
  };
}
