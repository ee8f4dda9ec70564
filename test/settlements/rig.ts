import type { TestContext } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import type { Account, Store } from '../../gateway/ledger/store.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics, type Metrics } from '../../gateway/observe/metrics.ts';
import {
  createSettlementFeed,
  type SettlementFeed,
  type SettlementFeedOptions,
} from '../../gateway/settlements/feed.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode } from '../../node/node.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { payAmount } from '../support/top-up.ts';

export const ACCOUNT = 'ac'.repeat(32);
const CREDIT_SEC = 30 * 86_400;

/** Quick enough for a test, in the same proportions. */
export const QUICK = {
  firstPauseMs: 1,
  maxPauseMs: 20,
  lookUpEveryMs: 60_000,
  cursorEveryMs: 1,
  quietMs: 5,
  probeMs: 100,
  overpaidEveryMs: 2,
};

/** A ledger with one funded account, a simulated node, and feeds between the two. */
export interface Rig {
  readonly simnet: Simnet;
  readonly node: LightningNode;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly clock: { ms: number };
  /** What happened, in order. */
  readonly credited: Account[];
  readonly settled: string[];
  logged(): string;
  /** Issues an invoice and writes its offer. */
  offer(amountMsat?: number): Promise<{ readonly paymentHash: string; readonly bolt11: string }>;
  /** Issues an invoice without an offer, as a challenge does. */
  invoice(): Promise<{ readonly paymentHash: string; readonly bolt11: string }>;
  pay(bolt11: string, amountMsat?: number): Promise<string>;
  start(change?: Partial<SettlementFeedOptions>): SettlementFeed;
  account(): Promise<Account>;
}

export async function openRig(t: TestContext, given: { store?: Store } = {}): Promise<Rig> {
  const clock = { ms: Date.now() };
  const nowMs = () => clock.ms;
  const simnet = createSimnet({ nowMs });
  const node = createSimulatedNode(simnet, GATEWAY_WALLET);
  const store = given.store ?? createMemoryStore({ nowMs });
  const metrics = createMetrics({ version: 'test' });
  const feeds: SettlementFeed[] = [];
  const credited: Account[] = [];
  const settled: string[] = [];
  let logged = '';
  const log = createLog({
    level: 'debug',
    format: 'json',
    destination: { write: (text) => (logged += text) },
  });
  const nowSec = () => Math.floor(clock.ms / 1000);
  await store.credit({
    creditKey: 'f0'.repeat(32),
    accountId: ACCOUNT,
    service: 'quote',
    amountMsat: msat(1_000),
    expiresAtSec: nowSec() + CREDIT_SEC,
  });
  t.after(async () => {
    await Promise.all(feeds.map((feed) => feed.close()));
    await store.close();
    simnet.close();
  });
  const invoice = () => node.createInvoice({ amountMsat: msat(5_000), memo: 'top-up', expirySec: 600 });
  return {
    simnet,
    node,
    store,
    metrics,
    clock,
    credited,
    settled,
    logged: () => logged,
    invoice,
    async offer(amountMsat = 5_000) {
      const made = await node.createInvoice({ amountMsat: msat(amountMsat), memo: 'top-up', expirySec: 600 });
      const offer = {
        paymentHash: made.paymentHash,
        accountId: ACCOUNT,
        service: 'quote',
        amountMsat: made.amountMsat,
        invoiceExpiresAtSec: made.expiresAtSec,
        creditExpiresAtSec: made.expiresAtSec + CREDIT_SEC,
      };
      const { kind } = await store.offer(offer, 1_000);
      if (kind !== 'offered') throw new Error(kind);
      return made;
    },
    pay: (bolt11, amountMsat) => payAmount(simnet, bolt11, amountMsat),
    start(change = {}) {
      const { timing, ...others } = change;
      const feed = createSettlementFeed({
        node,
        // The verbs that the feed needs of a ledger are the store's.
        ledger: store,
        log,
        metrics,
        onSettled: (paymentHash) => void settled.push(paymentHash),
        onOfferSettled: () => {},
        onCredited: (account) => void credited.push(account),
        nowMs,
        timing: { ...QUICK, ...timing },
        ...others,
      });
      feeds.push(feed);
      return feed;
    },
    async account() {
      const account = await store.account(ACCOUNT);
      if (account === undefined) throw new Error('there is no account');
      return account;
    },
  };
}

/** The same node, whose look-ups fail: what is credited came through the feed. That it answers at all is seen by a hash that is none. */
export function withoutLookUps(node: LightningNode): LightningNode {
  return {
    ...node,
    lookupInvoice: (hash) =>
      /^0+$/.test(hash) ? Promise.resolve(undefined) : Promise.reject(new Error('no look-ups in this test')),
  };
}
