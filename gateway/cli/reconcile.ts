import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { Io } from '../../client/cli/io.ts';
import type { Config } from '../../config/config.ts';
import { addFlags, FlagsError, readFlags } from '../../config/flags.ts';
import { loadConfig } from '../../config/load.ts';
import { checkStore } from '../ledger/ledger.ts';
import { CLAIM_GRACE_SEC, type Store } from '../ledger/store.ts';
import { createLog } from '../observe/log.ts';
import { openStore } from '../open-store.ts';
import { applySettlement } from '../settlements/apply-settlement.ts';
import { invoiceTag } from '../settlements/invoice-tag.ts';
import { type ReconcileReport, reconcile } from '../settlements/reconcile.ts';
import { longestSoldSec, soldForSec } from '../sold-for.ts';
import { openNodeBeside } from './open-beside.ts';
import { formatReconciliation } from './print-reconciliation.ts';

/** A million invoices: the node answers for a page in some ten milliseconds. */
const MAX_PAGES = 4_000;

/** `sluice reconcile`: holds the node's settled invoices against the ledger. Exit code 1 when a payment is missing. */
export function registerReconcile(program: Command, io: Io): void {
  const command = program
    .command('reconcile')
    .description('compare the payments that the node received with the ledger')
    .option('--since <date>', 'payments from then on: 2026-01-31, 2026-01-31T12:00:00Z, 7d or 12h')
    .option('--json', 'the report as JSON')
    .option('--mend', 'credit what should have been credited');
  addFlags(command).action(async (options: Readonly<Record<string, unknown>>) => {
    const { since, json, mend, ...flags } = options;
    const sinceSec = typeof since === 'string' ? parseSince(since, Date.now()) : undefined;
    const { config } = loadConfig({ flags: readFlags(flags), env: io.env, cwd: io.cwd });
    const report = await run(config, sinceSec, mend === true, io);
    if (report === undefined) {
      io.setExitCode(1);
      return;
    }
    io.stdout.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : formatReconciliation(report));
    if (report.tallies.missing.payments > 0) io.setExitCode(1);
  });
}

async function run(
  config: Config,
  sinceSec: number | undefined,
  mend: boolean,
  io: Io,
): Promise<ReconcileReport | undefined> {
  const refusal = refuseStore(config);
  if (refusal !== undefined) {
    io.stderr.write(`${refusal}\n`);
    return undefined;
  }
  const stop = new AbortController();
  const unlisten = io.onInterrupt(() => stop.abort(new Error('Stopped. What was mended stays so.')));
  const opened = await openStore(config.store, Date.now, 'refuse');
  try {
    const { store, name: storeName } = opened;
    const generation = await checkStore({ store, storeName, dataDir: config.dataDir });
    const node = await openNodeBeside(config);
    try {
      const deps = {
        node: node.node,
        ledger: store,
        tag: invoiceTag(generation),
        soldForSec: (service: string | undefined) => soldForSec(config.services, service),
        nowMs: Date.now,
        ...(mend ? { mend: mender(store) } : {}),
      };
      return await reconcile(deps, rangeOf(config, sinceSec), stop.signal);
    } finally {
      await node.close();
    }
  } finally {
    unlisten();
    await opened.store.close();
  }
}

/** Looking must not make a store, and a store in memory is the running gateway's alone. */
function refuseStore({ store }: Config): string | undefined {
  if (store.type === 'memory') {
    return 'The store is in memory, so only the running gateway knows it: it reconciles by itself; see its metrics.';
  }
  if (store.type === 'redis') return undefined;
  return existsSync(store.file) ? undefined : `There is no ledger at ${store.file}: nothing was sold yet.`;
}

/** By default all that can be judged: what was sold before has ended, and the ledger has forgotten it. */
function rangeOf({ services, challenge }: Config, sinceSec: number | undefined) {
  const { invoiceExpirySec } = challenge;
  const nowSec = Math.floor(Date.now() / 1000);
  const judgedSec = nowSec - CLAIM_GRACE_SEC - longestSoldSec(services) - invoiceExpirySec;
  return { sinceSec: sinceSec ?? Math.max(0, judgedSec), invoiceExpirySec, maxPages: MAX_PAGES };
}

/** What the gateway does with a payment of its feed; its own streams notice the credit within seconds. */
function mender(store: Store): (payment: Parameters<typeof applySettlement>[1]) => Promise<unknown> {
  const deps = {
    ledger: store,
    log: createLog({ level: 'silent', format: 'json' }),
    metrics: { settlement: () => {}, earned: () => {} },
    onSettled: () => {},
    onCredited: () => {},
    onOfferSettled: () => {},
  };
  return (payment) => applySettlement(deps, payment);
}

/** A date, a moment with its zone, or a time back from now. @throws FlagsError */
export function parseSince(text: string, nowMs: number): number {
  const back = /^(\d{1,5})([dh])$/.exec(text);
  if (back !== null) {
    const seconds = Number(back[1]) * (back[2] === 'd' ? 86_400 : 3_600);
    return Math.max(0, Math.floor(nowMs / 1000) - seconds);
  }
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const ms = isDate ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms) || ms < 0) {
    throw new FlagsError(
      'error: --since is a date such as 2026-01-31 or 2026-01-31T12:00:00Z, or 7d, or 12h',
      1,
    );
  }
  return Math.floor(ms / 1000);
}
