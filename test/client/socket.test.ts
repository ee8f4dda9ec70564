import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { WebSocket } from 'ws';
import {
  connectWithCookie,
  createBudget,
  createMemoryTokenStore,
  createPayingClient,
  type PaidSocket,
  type PayingClient,
  type PaymentEvent,
  SocketRefusedError,
  sats,
} from '../../client/index.ts';
import { connectWithHeader } from '../../client/node.ts';
import {
  type FakeGateway,
  quiet,
  type SteppedClock,
  startGateway,
  steppedClock,
  until,
} from './fake-gateway.ts';
import { listen, startNode, type TestNode } from './support.ts';

let node: TestNode;
let gateway: FakeGateway;
let clock: SteppedClock;
let client: PayingClient;
let events: PaymentEvent[];

beforeEach(async () => {
  clock = steppedClock();
  node = await startNode();
  gateway = await startGateway(node, clock);
  events = [];
  client = createPayingClient({
    wallet: node.wallet,
    budget: createBudget({ perRequestMsat: sats(1_000) }),
    store: createMemoryTokenStore({ nowMs: clock.nowMs }),
    clock,
    onEvent: (event) => events.push(event),
  });
});
afterEach(async () => {
  await gateway.close();
  await node.close();
});

async function open(): Promise<{ paid: PaidSocket<WebSocket>; messages: (string | Uint8Array)[] }> {
  const messages: (string | Uint8Array)[] = [];
  const paid = await client.socket(gateway.origin.replace('http', 'ws').concat('/ws'), {
    connect: connectWithHeader,
    onMessage: (data) => messages.push(data),
    autoTopUp: { amountMsat: sats(20), belowMsat: sats(5) },
  });
  return { paid, messages };
}

function topUps(): number {
  return events.filter(({ type }) => type === 'topped-up').length;
}

/** Ends a connection from the other side, and lets time pass until its end is told. */
function closeFromServer(paid: PaidSocket<WebSocket>, code: number): ReturnType<() => typeof paid.done> {
  gateway.sockets.at(-1)?.close(code, 'over');
  return endOf(paid);
}

/** Lets time pass until the end of a connection is told. */
async function endOf(paid: PaidSocket<WebSocket>): ReturnType<() => typeof paid.done> {
  let over = false;
  void paid.done.then(() => {
    over = true;
  });
  for (let turn = 0; turn < 500 && !over; turn += 1) await clock.advance(100);
  return paid.done;
}

describe('a paid WebSocket', () => {
  it('pays the 402 of its handshake, and loses no message that comes with it', async () => {
    const { paid, messages } = await open();
    await until('the greeting has come', () => messages.length === 1);
    assert.deepEqual(messages, ['hello']);
    assert.deepEqual(gateway.log.slice(0, 2), ['GET /ws 402', 'GET /ws 101']);
    gateway.sockets[0]?.on('message', (data) => gateway.sockets[0]?.send(`echo ${data}`));
    paid.socket.send('one');
    gateway.sockets[0]?.send(Buffer.of(1, 2), { binary: true });
    await until('all have come', () => messages.length === 3);
    assert.deepEqual(messages.slice(1).toSorted(), ['echo one', Buffer.of(1, 2)].toSorted());
    const summary = await closeFromServer(paid, 1000);
    assert.deepEqual(
      [summary.end, summary.code, summary.reason, summary.paidMsat],
      ['complete', 1000, 'over', 60_000],
    );
    const again = await open();
    assert.equal(node.paid.length, 1, 'the next one uses what is left');
    await closeFromServer(again.paid, 1000);
  });

  it('that is closed without a code has ended as it should', async () => {
    const { paid } = await open();
    paid.socket.close();
    await once(paid.socket, 'close');
    const { end, code } = await endOf(paid);
    assert.deepEqual([end, code], ['complete', 1005]);
  });

  it('is topped up while it lives', async () => {
    const { paid } = await open();
    await until('the feed is open', () => gateway.feeds.length === 1);
    gateway.setBalance(4_000);
    gateway.feeds[0]?.event('balance', { balanceMsat: 4_000 });
    await until('a top-up was credited', () => topUps() === 1);
    await closeFromServer(paid, 1000);
  });

  it('hears what the gateway says in a message', async () => {
    const { paid } = await open();
    gateway.setBalance(50);
    gateway.sockets[0]?.send(JSON.stringify({ type: 'payment-need-topup', balanceMsat: 50 }));
    await until('a top-up was credited', () => topUps() === 1);
    await closeFromServer(paid, 1000);
  });

  it('closed with 4402 waits for the top-up that is under way, so that the next one has its money', async () => {
    const { paid } = await open();
    gateway.onTopUpAsked = () => gateway.sockets[0]?.close(4402, 'payment needed');
    gateway.setBalance(50);
    gateway.sockets[0]?.send(JSON.stringify({ type: 'payment-need-topup' }));
    await once(paid.socket, 'close');
    const { end, topUps: count, code } = await closeFromServer(paid, 4402);
    assert.deepEqual([end, count, code], ['cut', 1, 4402]);
    const again = await open();
    assert.equal(node.paid.length, 2);
    await closeFromServer(again.paid, 1000);
  });

  it('that the server does not open is an error with its status, and nothing is paid', async () => {
    const closed = await listen((_, response) => void response.writeHead(404).end('no'));
    const options = { connect: connectWithHeader, onMessage: () => undefined };
    await assert.rejects(
      client.socket(`${closed.url}/ws`, options),
      (error: unknown) => error instanceof SocketRefusedError && error.status === 404,
    );
    await closed.close();
    await assert.rejects(client.socket(`${closed.url}/ws`, options), { code: 'ECONNREFUSED' });
    assert.equal(node.paid.length, 0);
  });

  it('is given up when its signal aborts', async () => {
    const hanging = await listen(() => undefined);
    const aborter = new AbortController();
    const options = { connect: connectWithHeader, onMessage: () => undefined, signal: aborter.signal };
    const opening = client.socket(hanging.url, options);
    opening.catch(() => undefined);
    const [, socket] = await once(hanging.server, 'upgrade');
    aborter.abort(new Error('enough'));
    await assert.rejects(opening, /enough/);
    socket.destroy();
    await hanging.close();
    await assert.rejects(client.socket(hanging.url, options), /enough/);
  });
});

describe('a WebSocket of a browser', () => {
  it('asks for the price with a plain GET, and exchanges its credential for a cookie', async () => {
    const sent: string[] = [];
    // What the browser would do with the cookie is done here: its WebSocket sends the credential.
    let authorization = '';
    const browserFetch: typeof fetch = async (input, init = {}) => {
      const url = new URL(input instanceof Request ? input.url : input);
      if (url.pathname === '/.l402/session') {
        sent.push(`${init.method} ${url.pathname} ${init.credentials}`);
        authorization = new Headers(init.headers).get('authorization') ?? '';
        return Response.json({ service: 'live' });
      }
      return fetch(input, init);
    };
    const browser = createPayingClient({
      wallet: node.wallet,
      budget: createBudget({ perRequestMsat: sats(1_000) }),
      store: createMemoryTokenStore({ nowMs: clock.nowMs }),
      clock,
      fetch: browserFetch,
    });
    const own = globalThis.WebSocket;
    // Node's own WebSocket takes headers in place of the protocols.
    globalThis.WebSocket = new Proxy(own, {
      construct: (target, [url, protocols]) =>
        Reflect.construct(target, [url, { protocols, headers: { authorization } }]),
    });
    const messages: (string | Uint8Array)[] = [];
    try {
      const paid = await browser.socket(`${gateway.origin}/ws`, {
        connect: connectWithCookie,
        onMessage: (data) => messages.push(data),
      });
      await until('the greeting has come', () => messages.length === 1);
      assert.deepEqual(sent, ['POST /.l402/session same-origin']);
      assert.equal(node.paid.length, 1);
      await quiet(gateway);
      gateway.sockets[0]?.close(1000);
      let over = false;
      void paid.done.then(() => {
        over = true;
      });
      for (let turn = 0; turn < 500 && !over; turn += 1) await clock.advance(100);
      assert.equal((await paid.done).end, 'complete');
    } finally {
      globalThis.WebSocket = own;
    }
  });
});
