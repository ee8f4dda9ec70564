import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Bus } from '../../gateway/bus/bus.ts';
import type { SharedClients } from '../../gateway/flow/shared-clients.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { LEAST_PAID_MS } from '../../gateway/meter/open-tab.ts';
import type { SessionTable } from '../../gateway/session/table.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode } from '../../node/node.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { balanceOf, openScene, type Scene, termsOf, type Upstream, type Ware } from '../e2e/scene.ts';
import {
  isWithoutGap,
  listen,
  metricOf,
  numbersIn,
  QUICK,
  revoke,
  SSE,
  settled,
  statusOf,
  tick,
  topUp,
} from '../e2e/streams-scene.ts';
import { eventually } from '../support/eventually.ts';
import {
  askChallenge,
  buy,
  type TestGateway,
  type TestGatewayOptions,
  withCredential,
} from '../support/gateway.ts';
import { askTopUp, untilCredited } from '../support/top-up.ts';

/** What one gateway opens of what all share. */
export interface SharedPart {
  readonly store: Store;
  readonly bus: Bus;
  readonly sessions: SessionTable;
  readonly sharedClients?: SharedClients;
}

/** Makes an empty store for one test. @returns opens it for one gateway, kept by the scene */
export type OpenShared = (t: TestContext, scene: Scene) => Promise<() => Promise<SharedPart>>;

/** Some gateways on one store and one node. */
interface Chain {
  readonly scene: Scene;
  readonly simnet: Simnet;
  readonly upstream: Upstream;
  /** Starts one more. */
  start(options?: TestGatewayOptions): Promise<TestGateway>;
}

const CALL: Omit<Ware, 'upstream'> = { name: 'quote', path: '/quote', price: '10 sat' };
const PACK: Omit<Ware, 'upstream'> = { name: 'pack', path: '/pack', price: '50 sat for 5 calls' };
const PASS: Omit<Ware, 'upstream'> = { name: 'pass', path: '/pass', price: '100 sat for 1h' };
const FILM: Omit<Ware, 'upstream'> = { name: 'film', path: '/film', price: '50 sat for 1h', session: true };
const STREAM: Omit<Ware, 'upstream'> = {
  name: 'live',
  path: '/live',
  price: '10 sat/second',
  metering: { ...QUICK, depositMsat: msat(5_000) },
};

const REEL: Omit<Ware, 'upstream'> = {
  name: 'reel',
  path: '/reel',
  price: '10 sat/second',
  metering: { ...QUICK, depositMsat: msat(100_000), charge: 'once' },
};

async function openChain(t: TestContext, open: OpenShared): Promise<Chain> {
  const scene = openScene(t);
  const simnet = createSimnet({ nowMs: Date.now });
  scene.keep({ close: async () => simnet.close() });
  const upstream = await scene.upstream((req, res) => {
    res.on('error', () => {});
    if (['/quote', '/pack', '/film'].includes(req.url ?? '')) res.end('paid for');
    else {
      res.writeHead(200, SSE);
      tick(res);
    }
  });
  const shared = await open(t, scene);
  return {
    scene,
    simnet,
    upstream,
    async start(options = {}) {
      const part = await shared();
      const wares = [CALL, PACK, PASS, FILM, STREAM, REEL].map((ware) => ({
        ...ware,
        upstream: upstream.origin,
      }));
      return scene.gateway(wares, { ...part, simnet, ...options });
    },
  };
}

async function openTwo(t: TestContext, open: OpenShared): Promise<[TestGateway, TestGateway, Chain]> {
  const chain = await openChain(t, open);
  return [await chain.start(), await chain.start(), chain];
}

/** How many of these requests were answered, and how many were asked to pay. */
async function count(requests: readonly Promise<Response>[]): Promise<{ paid: number; asked: number }> {
  const statuses = (await Promise.all(requests)).map(({ status }) => status);
  const paid = statuses.filter((status) => status === 200).length;
  const asked = statuses.filter((status) => status === 402).length;
  assert.equal(paid + asked, statuses.length, `nothing else: ${statuses}`);
  return { paid, asked };
}

/** Several gateways on one store are one shop: whatever carries their store and their messages, and although messages are lost. */
export function manyGatewaysContract(name: string, open: OpenShared): void {
  describe(`many gateways, ${name}`, { concurrency: 4 }, () => {
    test('a credential that was bought at one gateway is spent exactly once, though all three race for it', async (t) => {
      const [one, two, chain] = await openTwo(t, open);
      const gateways = [one, two, await chain.start()];
      const credential = await buy(one, '/quote');
      const requests = Array.from({ length: 12 }, (_, at) =>
        fetch(`${gateways[at % 3]?.url}/quote`, withCredential(credential)),
      );
      assert.deepEqual(await count(requests), { paid: 1, asked: 11 });
      assert.equal(chain.upstream.seen.length, 1);
      assert.equal(await balanceOf(two, credential), 0);
    });

    test('a bundle pays for as many calls as it holds, wherever they are made', async (t) => {
      const [one, two, chain] = await openTwo(t, open);
      const credential = await buy(two, '/pack');
      const requests = Array.from({ length: 14 }, (_, at) =>
        fetch(`${(at % 2 === 0 ? one : two).url}/pack`, withCredential(credential)),
      );
      assert.deepEqual(await count(requests), { paid: 5, asked: 9 });
      assert.equal(chain.upstream.seen.length, 5);
    });

    test('a stream that is held at one gateway goes on when its account is topped up through another', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(one, '/live');
      const stream = await listen(t, `${one.url}/live`, { headers: { authorization: credential } });
      await stream.until(/payment-need-topup/);
      const heldAt = numbersIn(stream.text()).length;
      await topUp(two, credential, 60_000);
      await eventually(
        () => numbersIn(stream.text()).length,
        (length) => length > heldAt + 5,
      );
      isWithoutGap(numbersIn(stream.text()));
      stream.leave();
      const account = await settled(two.store, credential);
      assert.equal(account.creditedMsat, 65_000);
    });

    test('streams that are charged once cost the time of one, also when two gateways serve them', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(one, '/reel');
      const fromMs = performance.now();
      const streams = await Promise.all(
        [one, two, two].map(({ url }) =>
          listen(t, `${url}/reel`, { headers: { authorization: credential } }),
        ),
      );
      for (const stream of streams) await stream.until(/data: 120\n/);
      for (const stream of streams) stream.leave();
      const { spentMsat } = await settled(one.store, credential);
      const tookMs = performance.now() - fromMs;
      // 10 msat a ms; the clocks of the two may be half a second apart on a machine that is very busy.
      assert.ok(spentMsat / 10 <= tookMs + 500, `${spentMsat} msat in ${tookMs} ms`);
      assert.ok(spentMsat / 10 >= LEAST_PAID_MS, `${spentMsat} msat in ${tookMs} ms`);
    });

    test('charged once, an account has no more streams than it may at all gateways together, and the place of one that ends is free at the other', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(one, '/reel');
      const headers = { authorization: credential };
      const first = await listen(t, `${one.url}/reel`, { headers });
      await first.until(/data: 1\n/);
      await topUp(two, credential, 900_000);
      const others = await Promise.all([two, two].map(({ url }) => listen(t, `${url}/reel`, { headers })));
      for (const stream of others) await stream.until(/data: 1\n/);
      const refusals = () => Promise.all([one, two].map((at) => statusOf(at, credential, '/reel')));
      const refused = [429, 'too-many-streams'];
      assert.deepEqual(await refusals(), [refused, refused]);
      others[0]?.leave();
      const again = await eventually(
        () => listen(t, `${one.url}/reel`, { headers }),
        ({ response }) => response.statusCode === 200,
      );
      await again.until(/data: 1\n/);
      assert.deepEqual(await refusals(), [refused, refused]);
      // The first has the place of the lease that pays; one of the others takes it over.
      first.leave();
      const last = await eventually(
        () => listen(t, `${two.url}/reel`, { headers }),
        ({ response }) => response.statusCode === 200,
      );
      assert.deepEqual(await refusals(), [refused, refused]);
      for (const stream of [...others, again, last]) stream.leave();
      await settled(one.store, credential);
    });

    test('a client that brings the preimage of its top-up to another gateway is credited once', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(one, '/quote');
      assert.equal((await fetch(`${one.url}/quote`, withCredential(credential))).status, 200);
      const made = await askTopUp(one.url, credential, { amountMsat: 20_000 });
      const preimage = await one.pay(made.invoice);
      const renewed = `L402 ${made.macaroon}:${preimage}`;
      const requests = [one, two, one, two].map(({ url }) => fetch(`${url}/quote`, withCredential(renewed)));
      assert.deepEqual(await count(requests), { paid: 2, asked: 2 });
      const account = await untilCredited(two.store, termsOf(credential).accountId, 30_000);
      assert.deepEqual([account.creditedMsat, account.spentMsat], [30_000, 30_000]);
    });

    test('an account that is revoked at one gateway ends everywhere: its stream, its pass, and its next call', async (t) => {
      const [one, two] = await openTwo(t, open);
      const streaming = await buy(one, '/live');
      const passing = await buy(one, '/pass');
      await topUp(one, streaming, 60_000);
      const [stream, pass] = await Promise.all([
        listen(t, `${two.url}/live`, { headers: { authorization: streaming } }),
        listen(t, `${two.url}/pass`, { headers: { authorization: passing } }),
      ]);
      await Promise.all([stream.until(/data: 3\n/), pass.until(/data: 3\n/)]);
      await Promise.all([revoke(one, streaming), revoke(one, passing)]);
      assert.deepEqual(await Promise.all([stream.end, pass.end]), ['whole', 'broken']);
      assert.match(stream.text(), /session-timeout\ndata: .*"cutBy":"revoked"/);
      const after = await fetch(`${two.url}/pass`, withCredential(passing));
      assert.equal(after.status, 402);
    });

    test('who follows an account at one gateway is told of a top-up that was made and spent at another', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(two, '/quote');
      assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
      const feed = await listen(t, `${one.url}/.l402/account/events`, {
        headers: { authorization: credential },
      });
      await feed.until(/"balanceMsat":0\}/);
      await topUp(two, credential, 25_000);
      await feed.until(/"balanceMsat":25000\}/);
      assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
      await feed.until(/"balanceMsat":15000\}/);
    });

    test('who waits at one gateway for an invoice of another is answered when it is paid', async (t) => {
      const [one, two] = await openTwo(t, open);
      const challenge = await askChallenge(`${one.url}/quote`);
      const waiting = fetch(`${two.url}/.l402/invoices/${challenge.paymentHash}?wait=30`, {
        headers: { 'L402-Macaroon': challenge.macaroon },
      });
      await one.pay(challenge.invoice);
      const answer: { state: string; authorization: string } = await (await waiting).json();
      assert.equal(answer.state, 'settled');
      assert.equal((await fetch(`${one.url}/quote`, withCredential(answer.authorization))).status, 200);
    });

    test('a top-up that is paid while its gateway is down is credited by another, and one that is paid while all are, by the next', async (t) => {
      const [one, two, chain] = await openTwo(t, open);
      const credential = await buy(one, '/quote');
      const { accountId } = termsOf(credential);
      assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
      const first = await askTopUp(one.url, credential, { amountMsat: 20_000 });
      const second = await askTopUp(one.url, credential, { amountMsat: 30_000 });
      await one.gateway.stop();
      await one.pay(first.invoice);
      await untilCredited(two.store, accountId, 30_000);
      await two.gateway.stop();
      await one.pay(second.invoice);
      const three = await chain.start();
      const account = await untilCredited(three.store, accountId, 60_000);
      assert.equal(account.creditedMsat, 60_000);
      assert.equal((await fetch(`${three.url}/quote`, withCredential(credential))).status, 200);
    });

    test('a browser’s cookie of one gateway pays at another, also after the first has stopped, until it is closed anywhere', async (t) => {
      const [one, two, chain] = await openTwo(t, open);
      const credential = await buy(one, '/film');
      const opened = await fetch(`${one.url}/.l402/session`, {
        method: 'POST',
        headers: { Authorization: credential },
      });
      assert.equal(opened.status, 200);
      const [cookie = ''] = (opened.headers.get('set-cookie') ?? '').split(';', 1);
      const withCookie = { headers: { cookie } };
      assert.equal((await fetch(`${two.url}/film`, withCookie)).status, 200);
      await one.gateway.stop();
      assert.equal((await fetch(`${two.url}/film`, withCookie)).status, 200);
      const three = await chain.start();
      assert.equal((await fetch(`${three.url}/film`, withCookie)).status, 200);
      await fetch(`${three.url}/.l402/session`, { method: 'DELETE', headers: { cookie } });
      assert.equal((await fetch(`${three.url}/film`, withCookie)).status, 402);
      await eventually(
        async () => (await fetch(`${two.url}/film`, withCookie)).status,
        (status) => status === 402,
      );
    });

    test('income is counted by one gateway only, whoever credits the payment', async (t) => {
      const [one, two] = await openTwo(t, open);
      const credential = await buy(one, '/quote');
      assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
      await topUp(one, credential, 20_000);
      await untilCredited(one.store, termsOf(credential).accountId, 30_000);
      const earned = await eventually(
        () => Promise.all([one, two].map((gateway) => metricOf(gateway, 'sluice_earned_msat_total'))),
        ([first = 0, second = 0]) => first + second >= 30_000,
      );
      assert.equal((earned[0] ?? 0) + (earned[1] ?? 0), 30_000);
    });
  });
}

/** The same node without its feed of settlements: what another gateway tells is all that is heard of a payment. */
export function withoutFeed(node: LightningNode): LightningNode {
  return { ...node, capabilities: { ...node.capabilities, settlementFeed: false } };
}
