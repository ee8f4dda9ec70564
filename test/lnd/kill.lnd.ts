import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { waitFor } from '../../deploy/regtest/wait-for.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { LightningNode, Payer } from '../../node/node.ts';
import { termsOf } from '../e2e/scene.ts';
import { startUpstream } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { clientOf, openRealNetwork, type RealNetwork } from './bench.ts';
import { type Bought, type Customer, createCustomer } from './customer.ts';
import { type GatewayProcess, gatewayProcess } from './gateway-process.ts';

/*
 * Gateway and node are killed at random points while buyers go on buying. Afterwards the books of the gateway and of LND
 * must agree to the millisatoshi. Invoices are made over gRPC. SLUICE_GATEWAY_KILLS and SLUICE_LND_KILLS set how often.
 */

const { SLUICE_GATEWAY_KILLS = '50', SLUICE_LND_KILLS = '10' } = process.env;
const CUSTOMERS = 4;
const PRICE_MSAT = 10_000;
/** More than are made here. */
const MOST_PAYMENTS = 1_000;

let network: RealNetwork;
let node: LightningNode & Payer;
let payer: Payer;

before(async () => {
  network = await openRealNetwork();
  node = clientOf(network.merchant, 'invoice');
  payer = clientOf(network.customer, 'admin');
});

after(async () => {
  await Promise.all([node.close(), payer.close()]);
  await network.close();
});

test('after kills of gateway and LND under load, credits are what LND settled, to the msat', {
  timeout: 1_200_000,
}, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'sluice-kill-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  let forwarded = 0;
  const upstream = await startUpstream((_req, res) => {
    forwarded += 1;
    res.end('paid for');
  });
  t.after(() => upstream.close());
  const gateway = await gatewayProcess(folder, configFor(network, upstream.origin));
  await gateway.start();
  t.after(() => gateway.stop());

  const enough = new AbortController();
  const customers = Array.from({ length: CUSTOMERS }, () => createCustomer(gateway.url, payer));
  const running = customers.map((customer) => customer.run(enough.signal));
  try {
    const restarts = await killAll(gateway, network);
    t.diagnostic(restarts);
  } finally {
    enough.abort();
  }
  await Promise.all(running);
  await untilNothingIsUnderWay(network);

  const bought = customers.flatMap((customer) => customer.bought);
  const settled = await settledAmong(bought);
  const total = await settledInAll(network);
  assert.equal(sum(settled.map(({ paidMsat }) => paidMsat)), total, 'LND settled only what was bought');
  await reconciles(gateway, total);
  const presented = await presentAll(gateway, settled);
  await gateway.stop();
  await checkBooks(folder, settled, total, {
    served: sum(customers.map(({ served }) => served)) + presented.served,
    unanswered: sum(customers.map(({ unanswered }) => unanswered)),
    forwarded,
  });
  t.diagnostic(describe(customers, settled, total));
});

/** Each at a random point of the work that goes on meanwhile. @returns how long they took to be back, in words */
async function killAll(gateway: GatewayProcess, { merchant, ready }: RealNetwork): Promise<string> {
  const repeat = async (
    times: number,
    maxPauseMs: number,
    killOnce: () => Promise<void>,
  ): Promise<number> => {
    let slowestMs = 0;
    for (let count = 0; count < times; count += 1) {
      await wait(Math.random() * maxPauseMs);
      const startedMs = performance.now();
      await killOnce();
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    }
    return slowestMs;
  };
  const slowest = await Promise.all([
    repeat(Number(SLUICE_GATEWAY_KILLS), 800, async () => {
      await gateway.kill();
      await gateway.start();
    }),
    repeat(Number(SLUICE_LND_KILLS), 3_000, async () => {
      await merchant.kill();
      await merchant.start();
      await ready();
    }),
  ]);
  const [ofGateway, ofLnd] = slowest.map((ms) => (ms / 1000).toFixed(1));
  return `slowest restart of the gateway ${ofGateway} s, of LND ${ofLnd} s`;
}

interface Settled extends Bought {
  readonly paidMsat: number;
  readonly preimage: string;
}

/** What LND was paid for, also where the payer never heard of it. */
async function settledAmong(bought: readonly Bought[]): Promise<Settled[]> {
  const settled: Settled[] = [];
  for (const one of bought) {
    const state = await node.lookupInvoice(one.paymentHash);
    if (state?.kind === 'settled')
      settled.push({ ...one, paidMsat: state.paidMsat, preimage: state.preimage });
  }
  return settled;
}

const listSchema = z.object({
  invoices: z.array(z.object({ state: z.string(), amt_paid_msat: z.string() })),
  last_index_offset: z.string(),
});

/** Invoices a page: LND writes about 2 KB for each, and how many there are depends on the machine. */
const PAGE = 200;

/** Payments that a kill has left under way come to their end first: they may still settle. */
async function untilNothingIsUnderWay({ customer }: RealNetwork): Promise<void> {
  await eventually(
    async () => {
      const underWay = (await payer.history(MOST_PAYMENTS)).filter(({ state }) => state === 'in-flight');
      const channels = JSON.stringify(await customer.ask('GET', '/v1/channels'));
      return [underWay.length, channels.includes('"hash_lock"')];
    },
    ([underWay, locked]) => underWay === 0 && locked === false,
  );
}

/** All that LND ever settled, by its own list. */
async function settledInAll({ merchant }: RealNetwork): Promise<number> {
  let total = 0;
  for (let offset = '0'; ; ) {
    const path = `/v1/invoices?num_max_invoices=${PAGE}&index_offset=${offset}`;
    const { invoices, last_index_offset: next } = listSchema.parse(await merchant.ask('GET', path));
    total += sum(invoices.filter(({ state }) => state === 'SETTLED').map((one) => Number(one.amt_paid_msat)));
    if (invoices.length < PAGE) return total;
    offset = next;
  }
}

const tallySchema = z.object({ paidMsat: z.int() });
const reportSchema = z.object({
  tallies: z.object({
    credited: tallySchema,
    'claimed-late': tallySchema,
    unclaimed: tallySchema,
    missing: tallySchema,
    forgotten: tallySchema,
  }),
});

/** What was credited, and what was paid and not presented yet, is what LND settled, by `sluice reconcile`. */
async function reconciles(gateway: GatewayProcess, total: number): Promise<void> {
  // Its exit code is 1 while a top-up that was paid during the last kill is being credited.
  const report = await waitFor(
    'An account of every payment',
    async () => reportSchema.parse(JSON.parse(await gateway.command('reconcile', '--json', '--since', '1d'))),
    { limitMs: 120_000 },
  );
  const { credited, unclaimed, missing, forgotten, ...late } = report.tallies;
  assert.deepEqual([missing.paidMsat, forgotten.paidMsat], [0, 0]);
  assert.equal(credited.paidMsat + late['claimed-late'].paidMsat + unclaimed.paidMsat, total);
}

/** Presents every paid credential once more: what nobody had claimed is claimed now. */
async function presentAll({ url }: GatewayProcess, settled: readonly Settled[]): Promise<{ served: number }> {
  let served = 0;
  for (const { kind, macaroon, preimage } of settled) {
    if (kind === 'top-up') continue;
    const headers = { Authorization: `L402 ${macaroon}:${preimage}` };
    const response = await fetch(`${url}/quote`, { headers });
    await response.text();
    assert.ok([200, 402].includes(response.status), String(response.status));
    if (response.status === 200) served += 1;
  }
  return { served };
}

interface Counts {
  readonly served: number;
  readonly unanswered: number;
  readonly forwarded: number;
}

async function checkBooks(
  folder: string,
  settled: readonly Settled[],
  total: number,
  counts: Counts,
): Promise<void> {
  const file = path.join(folder, 'ledger.db');
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
  try {
    const owed = new Map<string, number>();
    for (const { macaroon, paidMsat } of settled) {
      const { accountId } = termsOf(`L402 ${macaroon}:`);
      owed.set(accountId, (owed.get(accountId) ?? 0) + paidMsat);
    }
    let [credited, spent] = [0, 0];
    for (const [accountId, paidMsat] of owed) {
      const account = await store.account(accountId);
      assert.equal(account?.creditedMsat, paidMsat, `account ${accountId}`);
      credited += account?.creditedMsat ?? 0;
      spent += account?.spentMsat ?? 0;
    }
    assert.equal(credited, total);
    const { served, unanswered, forwarded } = counts;
    assert.equal(spent % PRICE_MSAT, 0);
    assert.ok(spent / PRICE_MSAT >= served, `${spent / PRICE_MSAT} calls charged, ${served} served`);
    assert.ok(
      spent / PRICE_MSAT <= served + unanswered,
      `${spent / PRICE_MSAT} charged, ${served}+${unanswered}`,
    );
    assert.ok(forwarded >= served);
  } finally {
    await store.close();
  }
}

function configFor({ merchant }: RealNetwork, upstream: string): object {
  return {
    node: {
      type: 'lnd',
      url: merchant.url,
      grpcUrl: merchant.grpcUrl,
      tlsCertFile: merchant.tlsCertFile,
      macaroonFile: merchant.macaroonFile('invoice'),
    },
    log: { level: 'warn', format: 'json' },
    challenge: { burst: 10_000, perMinute: 10_000, maxPerClient: 10_000 },
    services: [{ name: 'quote', path: '/quote', price: '10 sat', upstream }],
  };
}

function describe(customers: readonly Customer[], settled: readonly Settled[], total: number): string {
  const served = sum(customers.map((customer) => customer.served));
  const unanswered = sum(customers.map((customer) => customer.unanswered));
  return `${settled.length} payments of ${total} msat, ${served} calls served, ${unanswered} unanswered`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
