import type { LightningNode } from '../../node/node.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { repeat } from '../ledger/repeat.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type ApplyDeps, applySettlement } from './apply-settlement.ts';
import { type ReconcileDeps, type ReconcileReport, reconcile } from './reconcile.ts';

/** What reconciling in the background needs. */
export interface ReconcilerOptions extends Omit<ApplyDeps, 'ledger' | 'metrics'> {
  readonly node: LightningNode;
  readonly ledger: Ledger;
  readonly metrics: Pick<Metrics, 'settlement' | 'earned' | 'readFrom'>;
  /** Tag of this ledger's invoices. */
  readonly tag: string;
  readonly soldForSec: ReconcileDeps['soldForSec'];
  /** How long invoices live, seconds. */
  readonly invoiceExpirySec: () => number;
  readonly nowMs: () => number;
  /** How often it looks whether a run is due, ms; default 5,000. */
  readonly tickMs?: number;
  /** The first run is due so long after the start, ms; default 0: gateways that start together shall not all ask the node at once. */
  readonly firstRunAfterMs?: number;
}

/** The daily reconciliation. */
export interface Reconciler {
  /** Ends the run under way, and no other follows. */
  close(): Promise<void>;
}

const DAY_MS = 24 * 3600 * 1000;
/** After a run that the node or the store broke off. */
const RETRY_MS = 10 * 60 * 1000;
/** Each run looks back so far: what a day's run did not see, the next two see again. */
const LOOK_BACK_SEC = 3 * 24 * 3600;
/** 100,000 invoices a run, unpaid ones too: the node has other work. `sluice reconcile` reads on. */
const MAX_PAGES = 400;
const TICK_MS = 5_000;

/**
 * Reconciles soon after the start and once a day, and mends what can be mended. What is missing or was never claimed is shown
 * by the metrics; how far a busy node was read is said in the log.
 */
export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { nowMs, log, metrics } = options;
  const closing = new AbortController();
  const seen = { missingMsat: 0, unclaimedMsat: 0, ranAtSec: 0 };
  metrics.readFrom({ reconciliation: () => seen });
  let dueAtMs = nowMs() + (options.firstRunAfterMs ?? 0);
  const task = async (): Promise<void> => {
    if (nowMs() < dueAtMs) return;
    dueAtMs = nowMs() + RETRY_MS;
    const report = await runOnce(options, closing.signal);
    dueAtMs = nowMs() + DAY_MS;
    seen.missingMsat = report.tallies.missing.paidMsat;
    seen.unclaimedMsat = report.tallies.unclaimed.paidMsat;
    seen.ranAtSec = Math.floor(nowMs() / 1000);
    say(log, report);
  };
  const running = repeat({
    everyMs: options.tickMs ?? TICK_MS,
    task,
    onError: (error) => {
      if (closing.signal.aborted) return;
      log.warn('payments could not be reconciled; it is tried again in ten minutes', { err: error });
    },
  });
  return {
    close: async () => {
      closing.abort();
      await running.stop();
    },
  };
}

function runOnce(options: ReconcilerOptions, signal: AbortSignal): Promise<ReconcileReport> {
  const { node, ledger, tag, soldForSec, nowMs } = options;
  const sinceSec = Math.max(0, Math.floor(nowMs() / 1000) - LOOK_BACK_SEC);
  return reconcile(
    { node, ledger, tag, soldForSec, nowMs, mend: (payment) => applySettlement(options, payment) },
    { sinceSec, invoiceExpirySec: options.invoiceExpirySec(), maxPages: MAX_PAGES },
    signal,
  );
}

function say(log: Log, report: ReconcileReport): void {
  const { tallies, mended, unanswered, coverage } = report;
  const { missing, unclaimed } = tallies;
  const summary = { mended, unanswered, coverage, missing, unclaimed };
  if (missing.payments > 0) {
    log.error('payments came in that the ledger has not credited: see `sluice reconcile`', summary);
  } else if (mended > 0) {
    log.warn('payments were reconciled, and what was missing was credited', summary);
  } else {
    log.debug('payments were reconciled', summary);
  }
}
