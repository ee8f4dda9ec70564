import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type AccountEvents, createAccountEvents } from '../../gateway/endpoints/account-events.ts';
import { type AccountStreams, createAccountStreams } from '../../gateway/endpoints/account-streams.ts';
import type { Account } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { openScene, termsOf, type Ware } from '../e2e/scene.ts';
import { closeHttp, listenAnywhere } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { askTopUp, refusalOf } from '../support/top-up.ts';

async function openShop(
  t: TestContext,
  ware: Omit<Ware, 'upstream'> = { price: '10 sat' },
): Promise<TestGateway> {
  const scene = openScene(t);
  const upstream = (await scene.upstream()).origin;
  return scene.gateway([{ ...ware, upstream }]);
}

interface SeenAccount {
  readonly balanceMsat: number | null;
  readonly creditedMsat: number;
}

async function readAccount(gateway: TestGateway, credential: string): Promise<SeenAccount> {
  const response = await fetch(`${gateway.url}/.l402/account`, withCredential(credential));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  return JSON.parse(await response.text());
}

/** A stream of events, as it has come so far. */
interface Listening {
  readonly response: IncomingMessage;
  text(): string;
  /** Waits until what has come matches. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves when the server ended it. */
  readonly ended: Promise<unknown>;
}

async function listen(t: TestContext, url: string, headers: http.OutgoingHttpHeaders): Promise<Listening> {
  const request = http.get(url, { headers, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  t.after(() => request.destroy());
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = once(response, 'end').catch(() => 'broken');
  return {
    response,
    text: () => text,
    until: (pattern) =>
      eventually(
        () => text,
        (seen) => pattern.test(seen),
      ),
    ended,
  };
}

function listenTo(t: TestContext, gateway: TestGateway, credential: string): Promise<Listening> {
  return listen(t, `${gateway.url}/.l402/account/events`, { authorization: credential });
}

test('an account is shown with what is left, what it costs, until when, and which top-ups are open', async (t) => {
  const gateway = await openShop(t, { price: '50 sat for 5 calls' });
  const credential = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(credential));
  const topUp = await askTopUp(gateway.url, credential, { amountSats: 7 });
  const { validUntilSec, accountId } = termsOf(credential);
  const price = { canonical: '50000msat/5calls', words: '50 sat for 5 calls' };
  assert.deepEqual(await readAccount(gateway, credential), {
    service: 'quote',
    accountId,
    balanceMsat: 40_000,
    creditedMsat: 50_000,
    reservedMsat: 0,
    spentMsat: 10_000,
    expiredMsat: 0,
    liveStreams: 0,
    rateMsatPerSecond: 0,
    expiresAt: new Date(validUntilSec * 1000).toISOString(),
    credentialExpiresAt: new Date(validUntilSec * 1000).toISOString(),
    price,
    currentPrice: price,
    topUps: [{ paymentHash: topUp.paymentHash, amountMsat: 7_000, expiresAt: topUp.expiresAt }],
  });
});

test('a pass is shown without a balance, and a fresh credential opens its account by being shown', async (t) => {
  const gateway = await openShop(t, { price: '200 sat for 10m' });
  const pass = await readAccount(gateway, await buy(gateway, '/quote'));
  assert.deepEqual([pass.balanceMsat, pass.creditedMsat], [null, 0]);
  const shop = await openShop(t);
  assert.equal((await readAccount(shop, await buy(shop, '/quote'))).balanceMsat, 10_000);
});

test('nobody learns anything of an account without a credential that is paid for', async (t) => {
  const gateway = await openShop(t);
  const { macaroon } = await askChallenge(`${gateway.url}/quote`);
  for (const path of ['/.l402/account', '/.l402/account/events']) {
    for (const authorization of [undefined, `L402 ${macaroon}:${'0'.repeat(64)}`, 'Bearer x', 'L402 ']) {
      const response = await fetch(
        gateway.url + path,
        authorization === undefined ? {} : withCredential(authorization),
      );
      assert.equal(response.headers.get('www-authenticate'), null);
      assert.deepEqual(await refusalOf(response), [403, 'credential-refused']);
    }
  }
  assert.equal((await gateway.store.totals()).accounts, 0);
});

test('what happens to an account is told as it happens: calls, top-ups, and its revocation', async (t) => {
  const gateway = await openShop(t, { price: '50 sat for 5 calls' });
  const credential = await buy(gateway, '/quote');
  const feed = await listenTo(t, gateway, credential);
  assert.equal(feed.response.headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.equal(feed.response.headers['x-accel-buffering'], 'no');
  assert.equal(feed.response.headers['cache-control'], 'no-store');
  await feed.until(/event: balance\ndata: \{"type":"balance","balanceMsat":50000\}\n\n/);
  await fetch(`${gateway.url}/quote`, withCredential(credential));
  await feed.until(/"balanceMsat":40000\}\n\n/);
  const { invoice, accountId } = await askTopUp(gateway.url, credential, { amountSats: 7 });
  await gateway.pay(invoice);
  await feed.until(/"balanceMsat":47000\}\n\n/);
  await fetch(`${gateway.adminUrl}/api/accounts/${accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  await feed.until(/event: revoked\n/);
  await feed.ended;
});

test('a stream of events ends with its credential, and with the gateway', async (t) => {
  const gateway = await openShop(t);
  const ending = await listenTo(t, gateway, await buy(gateway, '/quote'));
  await ending.until(/balance/);
  gateway.clock.ms += 32 * 86_400_000;
  await ending.ended;
  const stopped = await listenTo(t, gateway, await buy(gateway, '/quote'));
  await stopped.until(/balance/);
  await gateway.gateway.stop();
  await stopped.ended;
});

test('HEAD is answered without opening a stream, and other methods are refused', async (t) => {
  const gateway = await openShop(t);
  const credential = await buy(gateway, '/quote');
  const head = await fetch(
    `${gateway.url}/.l402/account/events`,
    withCredential(credential, { method: 'HEAD' }),
  );
  assert.deepEqual([head.status, await head.text()], [200, '']);
  const post = await fetch(`${gateway.url}/.l402/account`, withCredential(credential, { method: 'POST' }));
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET']);
});

test('an account has so many listeners, and one who leaves makes room', async (t) => {
  const gateway = await openShop(t);
  const credential = await buy(gateway, '/quote');
  const feeds = [];
  for (let n = 0; n < 8; n += 1) feeds.push(await listenTo(t, gateway, credential));
  const ninth = await fetch(`${gateway.url}/.l402/account/events`, withCredential(credential));
  assert.ok(ninth.headers.get('retry-after'));
  assert.deepEqual(await refusalOf(ninth), [503, 'busy']);
  feeds[0]?.response.destroy();
  await eventually(
    async () => {
      const response = await fetch(`${gateway.url}/.l402/account/events`, withCredential(credential));
      await response.body?.cancel();
      return response.status;
    },
    (status) => status === 200,
  );
});

/** The streams alone, on a server of their own, with ticks made by hand. */
interface Bench {
  readonly events: AccountEvents;
  readonly streams: AccountStreams;
  readonly port: number;
  readonly account: { balanceMsat: number; reads: number };
}

async function openBench(t: TestContext): Promise<Bench> {
  const events = createAccountEvents();
  const account = { balanceMsat: 1_000, reads: 0 };
  const streams = createAccountStreams({
    events,
    readAccount: async () => {
      account.reads += 1;
      return { balanceMsat: msat(account.balanceMsat) } as Account;
    },
    isRevoked: () => false,
    nowMs: () => 0,
    limits: { tickMs: 3_600_000 },
  });
  const server = http.createServer((_req, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    streams.open({ accountId: 'aa', validUntilSec: 1, client: 'c', response });
  });
  const port = await listenAnywhere(server);
  t.after(async () => {
    streams.close();
    await closeHttp(server);
  });
  return { events, streams, port, account };
}

async function ticks({ streams }: Bench, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    streams.tick();
    // Reads of the ledger end between two ticks.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a burst of balances becomes one event a second, and the last one is never lost', async (t) => {
  const bench = await openBench(t);
  const feed = await listen(t, `http://127.0.0.1:${bench.port}/`, {});
  await ticks(bench, 8);
  await feed.until(/"balanceMsat":1000\}/);
  for (let n = 2; n <= 500; n += 1) {
    bench.account.balanceMsat = n;
    bench.events.publish('aa', { kind: 'balance', balanceMsat: msat(n) });
    if (n % 50 === 0) await ticks(bench, 1);
  }
  await ticks(bench, 8);
  await feed.until(/"balanceMsat":500\}/);
  assert.ok((feed.text().match(/event: balance/g)?.length ?? 0) <= 5);
});

test('needs, warnings and ends are told at the next tick, each kind once', async (t) => {
  const bench = await openBench(t);
  const feed = await listen(t, `http://127.0.0.1:${bench.port}/`, {});
  const need = { balanceMsat: msat(0), neededMsat: msat(100), holdMs: 45_000 };
  bench.events.publish('aa', { kind: 'warning', balanceMsat: msat(500), remainingMs: 5_000 });
  bench.events.publish('aa', { kind: 'payment-need-topup', ...need, holdMs: 1 });
  bench.events.publish('aa', { kind: 'payment-need-topup', ...need });
  bench.events.publish('aa', { kind: 'session-timeout', cutBy: 'unpaid' });
  bench.events.publish('bb', { kind: 'session-timeout', cutBy: 'not ours' });
  await ticks(bench, 1);
  const text = await feed.until(/session-timeout/);
  assert.match(text, /event: warning\ndata: \{"type":"warning","balanceMsat":500,"remainingMs":5000\}\n\n/);
  assert.match(text, /event: payment-need-topup\ndata: .*"neededMsat":100,"holdMs":45000\}\n\n/);
  assert.equal(text.match(/event: payment-need-topup/g)?.length, 1);
  assert.doesNotMatch(text, /not ours/);
});

test('a quiet stream shows that it lives, and asks the ledger for what another gateway changed', async (t) => {
  const bench = await openBench(t);
  const feed = await listen(t, `http://127.0.0.1:${bench.port}/`, {});
  await ticks(bench, 80);
  await feed.until(/: still here\n\n/);
  assert.ok(bench.account.reads <= 11, `${bench.account.reads} reads`);
  bench.account.balanceMsat = 777;
  await ticks(bench, 16);
  await feed.until(/"balanceMsat":777\}/);
});

test('a reader that takes nothing is dropped, and until then nothing piles up for it', async (t) => {
  const bench = await openBench(t);
  const socket: Socket = net.connect({ port: bench.port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually(
    () => bench.streams.size(),
    (size) => size === 1,
  );
  let before = 0;
  for (let n = 0; n < 400_000 && bench.streams.size() === 1; n += 1) {
    bench.events.publish('aa', { kind: 'session-timeout', cutBy: 'x'.repeat(2_000) });
    bench.streams.tick();
    if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (n % 10_000 === 0) {
      const { arrayBuffers } = process.memoryUsage();
      before ||= arrayBuffers;
      assert.ok(arrayBuffers - before < 50_000_000);
    }
  }
  assert.equal(bench.streams.size(), 0);
  assert.equal(bench.events.size(), 0);
});
