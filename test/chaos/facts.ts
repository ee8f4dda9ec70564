import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import type { Account, PaymentEntry, Store, Totals } from '../../gateway/ledger/store.ts';
import { openStore } from '../../gateway/open-store.ts';
import { openNode } from '../../node/index.ts';
import type { Bought } from './books.ts';

/** What the ledger and the node say in the end, each for itself. */
export interface Facts {
  /** What the node was paid, msat, by payment hash. */
  readonly settledMsat: ReadonlyMap<string, number>;
  /** What the ledger holds of each of these payments. */
  readonly entries: ReadonlyMap<string, PaymentEntry>;
  /** The same before `sluice reconcile --mend` was run: what the gateways had done by themselves. */
  readonly unmended: ReadonlyMap<string, PaymentEntry>;
  readonly accounts: ReadonlyMap<string, Account>;
  readonly totals: Totals;
  /** What `sluice reconcile` says, after it has mended what it could. */
  readonly reconciled: Reconciled;
}

const tallySchema = z.object({ payments: z.number(), paidMsat: z.number() });
const reconciledSchema = z.object({
  coverage: z.string(),
  others: z.number(),
  tallies: z.object({ missing: tallySchema, unclaimed: tallySchema }),
});

/** The part of `sluice reconcile --json` that is held against the books. */
export type Reconciled = z.infer<typeof reconciledSchema>;

const PURGE_LIMIT_MS = 90_000;
const PAGE = 250;

/** The configuration that the gateways of the run were started with. */
export function configOf(file: string): Config {
  return loadConfig({ flags: { config: file }, env: {}, cwd: path.dirname(file) }).config;
}

/**
 * Waits until the gateways have heard of each paid top-up by themselves: of those that nobody presents, and of those that were credited
 * because they were.
 * @returns those of which the ledger does not say so when the time is over
 */
export async function untilHeard(
  config: Config,
  { paid, unpresented }: { readonly paid: readonly string[]; readonly unpresented: readonly string[] },
  limitMs: number,
): Promise<string[]> {
  const { store } = await openStore(config.store, Date.now);
  try {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const entries = await entriesOf(store, paid);
      const uncredited = unpresented.filter((hash) => entries.get(hash)?.creditedMsat === undefined);
      const unheard = paid.filter((hash) => entries.get(hash)?.offer?.settled === false);
      const open = [...new Set([...uncredited, ...unheard])];
      if (open.length === 0 || performance.now() > endMs) return open;
      await wait(250);
    }
  } finally {
    await store.close();
  }
}

/** Those of which the ledger holds no claim, or no credit where there should be one. */
export async function forgottenOf(config: Config, accepted: readonly Bought[]): Promise<string[]> {
  const { store } = await openStore(config.store, Date.now);
  try {
    const entries = await entriesOf(
      store,
      accepted.map(({ paymentHash }) => paymentHash),
    );
    return accepted.flatMap(({ paymentHash, creditMsat }) => {
      const { claim, creditedMsat } = entries.get(paymentHash) ?? {};
      const isThere = creditMsat === 0 ? claim !== undefined : creditedMsat !== undefined;
      return isThere ? [] : [paymentHash];
    });
  } finally {
    await store.close();
  }
}

/** Purges, mends, reconciles, and reads everything. The gateways have ended; store and node are up. */
export async function readFacts(
  configFile: string,
  bought: readonly Bought[],
  accountIds: readonly string[],
): Promise<Facts> {
  const config = configOf(configFile);
  const { store } = await openStore(config.store, Date.now);
  try {
    await purgeUntilFreed(store);
    const settledMsat = await settledAtNode(config, path.dirname(configFile));
    const hashes = new Set([...settledMsat.keys(), ...bought.map(({ paymentHash }) => paymentHash)]);
    const unmended = await entriesOf(store, [...hashes]);
    await reconcileByCommand(configFile, ['--mend']);
    const accounts = new Map<string, Account>();
    for (const accountId of accountIds) {
      const account = await store.account(accountId);
      if (account !== undefined) accounts.set(accountId, account);
    }
    return {
      settledMsat,
      entries: await entriesOf(store, [...hashes]),
      unmended,
      accounts,
      totals: await store.totals(),
      reconciled: await reconcileByCommand(configFile, []),
    };
  } finally {
    await store.close();
  }
}

/** Leases of gateways that were killed end by themselves, and what they held goes back: within their time to live. */
async function purgeUntilFreed(store: Store): Promise<void> {
  const endMs = performance.now() + PURGE_LIMIT_MS;
  do {
    while ((await store.purge()).more);
    if ((await store.totals()).reservedMsat === 0) return;
    await wait(500);
  } while (performance.now() < endMs);
}

async function entriesOf(store: Store, hashes: readonly string[]): Promise<Map<string, PaymentEntry>> {
  const entries = new Map<string, PaymentEntry>();
  for (let from = 0; from < hashes.length; from += PAGE) {
    for (const entry of await store.paymentEntries(hashes.slice(from, from + PAGE)))
      entries.set(entry.paymentHash, entry);
  }
  return entries;
}

async function settledAtNode(config: Config, dataDir: string): Promise<Map<string, number>> {
  const { node, close } = await openNode(config.node, { dataDir, nowMs: Date.now, listenSurface: false });
  const settled = new Map<string, number>();
  try {
    for (let before = 0; ; ) {
      const page = await node.settledInvoices?.({ createdFromSec: 0, before, limit: PAGE });
      for (const { paymentHash, paidMsat } of page?.invoices ?? []) settled.set(paymentHash, paidMsat);
      if (page?.next === undefined) return settled;
      before = page.next;
    }
  } finally {
    await close();
  }
}

async function reconcileByCommand(configFile: string, flags: readonly string[]): Promise<Reconciled> {
  const main = path.join(import.meta.dirname, '..', '..', 'gateway', 'cli', 'sluice.ts');
  const args = [
    '--disable-warning=ExperimentalWarning',
    main,
    'reconcile',
    '--json',
    ...flags,
    '-c',
    configFile,
  ];
  // It ends with 1 when a payment is missing, and has printed its report all the same.
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 << 20 }).catch(
    (error: unknown) => {
      if (error instanceof Error && 'stdout' in error && String(error.stdout).startsWith('{'))
        return { stdout: String(error.stdout) };
      throw error;
    },
  );
  return reconciledSchema.parse(JSON.parse(stdout));
}
