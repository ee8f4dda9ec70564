import { addMsat, type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { type LightningNode, NodeError, type SettledInvoice } from '../../node/node.ts';
import { type PaymentEntry, type Store, StoreError } from '../ledger/store.ts';
import type { Payment } from './apply-settlement.ts';
import { creditExcess } from './credit-excess.ts';
import { readMemo } from './invoice-tag.ts';
import { judgePayment, type PaidInvoice, type PaymentKind, type Verdict } from './judge-payment.ts';

/** What reconciling needs. */
export interface ReconcileDeps {
  readonly node: Pick<LightningNode, 'settledInvoices' | 'lookupInvoice'>;
  readonly ledger: Pick<Store, 'paymentEntries' | 'purgeWatermark' | 'openOffers' | 'redeem' | 'credit'>;
  /** Tag of this ledger's invoices. */
  readonly tag: string;
  /** How long what was sold lives, seconds from the end of its invoice; `undefined`: a service that is not known. */
  readonly soldForSec: (service: string | undefined) => number;
  /** Credits a payment to its offer, however often; absent: nothing is mended. @throws StoreError */
  readonly mend?: ((payment: Payment) => Promise<unknown>) | undefined;
  readonly nowMs: () => number;
}

/** What to look at. */
export interface ReconcileRange {
  /** Payments from then on, Unix seconds. */
  readonly sinceSec: number;
  /** How long invoices live, seconds: one that was paid in the range was made at most so long before. */
  readonly invoiceExpirySec: number;
  /** Pages of the node's invoices, 250 invoices each, that are read at most. */
  readonly maxPages: number;
}

/** Payments of one kind. */
export interface Tally {
  readonly payments: number;
  readonly paidMsat: Msat;
}

/** A payment that is worth naming. */
export interface Finding extends Verdict {
  readonly paymentHash: string;
  readonly paidMsat: Msat;
  /** Unix seconds. */
  readonly settledAtSec: number;
  /** This run credited it, or closed its top-up. */
  readonly mended: boolean;
}

/** What a reconciliation found. */
export interface ReconcileReport {
  readonly sinceSec: number;
  readonly watermarkSec: number;
  /** `complete`; `cut`: there are more invoices than were read; `offers-only`: the node can't list its invoices. */
  readonly coverage: 'complete' | 'cut' | 'offers-only';
  /** As they stand after what was mended. */
  readonly tallies: Readonly<Record<PaymentKind, Tally>>;
  readonly mended: number;
  /** Settled invoices of the node that are not this ledger's. */
  readonly others: number;
  /** Open top-ups that the node could not be asked about. */
  readonly unanswered: number;
  /** Everything but what is simply credited or forgotten, in the order found; the first 1,000. */
  readonly findings: readonly Finding[];
  readonly findingsLeftOff: number;
}

const PAGE = 250;
const MAX_FINDINGS = 1_000;
/** Open offers asked about one by one: those that the walk did not meet. */
const MAX_OFFERS = 20_000;
/** So many failures without one answer between them, and the node is down. */
const MAX_FAILURES_IN_A_ROW = 8;
const LOOK_UP_TIMEOUT_MS = 10_000;

interface Run extends ReconcileDeps {
  readonly range: ReconcileRange;
  readonly signal: AbortSignal;
  readonly watermarkSec: number;
  readonly tallies: Record<PaymentKind, Tally>;
  readonly findings: Finding[];
  /** Hashes of open offers that the walk has met. */
  readonly met: Set<string>;
  mended: number;
  others: number;
  unanswered: number;
  findingsLeftOff: number;
}

/**
 * Holds the node's settled invoices against the ledger, and, when told to, mends what can be: a top-up that was paid and not
 * credited, a claim whose credit, or whose excess, is missing. Whatever is mended is mended by verbs that may be repeated.
 * @throws NodeError, StoreError
 */
export async function reconcile(
  deps: ReconcileDeps,
  range: ReconcileRange,
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const run: Run = {
    ...deps,
    range,
    signal,
    watermarkSec: await deps.ledger.purgeWatermark(),
    tallies: emptyTallies(),
    findings: [],
    met: new Set(),
    mended: 0,
    others: 0,
    unanswered: 0,
    findingsLeftOff: 0,
  };
  const coverage = await walkInvoices(run);
  await askAboutOffers(run);
  const { watermarkSec, tallies, findings, mended, others, unanswered, findingsLeftOff } = run;
  const { sinceSec } = range;
  return { sinceSec, watermarkSec, coverage, tallies, mended, others, unanswered, findings, findingsLeftOff };
}

async function walkInvoices(run: Run): Promise<ReconcileReport['coverage']> {
  const { node, range, signal } = run;
  if (node.settledInvoices === undefined) return 'offers-only';
  const createdFromSec = Math.max(0, range.sinceSec - range.invoiceExpirySec);
  let before = 0;
  for (let pages = 0; pages < range.maxPages; pages += 1) {
    signal.throwIfAborted();
    const page = await node.settledInvoices({ createdFromSec, before, limit: PAGE }, { signal });
    await judgePage(
      run,
      page.invoices.filter(({ settledAtSec }) => settledAtSec >= range.sinceSec),
    );
    if (page.next === undefined) return 'complete';
    before = page.next;
  }
  return 'cut';
}

async function judgePage(run: Run, invoices: readonly SettledInvoice[]): Promise<void> {
  if (invoices.length === 0) return;
  const entries = await run.ledger.paymentEntries(invoices.map(({ paymentHash }) => paymentHash));
  for (const [index, invoice] of invoices.entries()) {
    const entry = entries[index];
    if (entry === undefined) continue;
    const memo = readMemo(invoice.memo);
    // Invoices from before there were tags are known by what the books hold of them.
    if (memo?.tag !== run.tag && !isKnown(entry)) {
      run.others += 1;
      continue;
    }
    if (entry.offer?.settled === false) run.met.add(invoice.paymentHash);
    const service = entry.claim?.service ?? entry.offer?.service ?? memo?.service;
    const creditEndsAtSec = invoice.expiresAtSec + run.soldForSec(service);
    await settleVerdict(run, invoice, invoice.settledAtSec, entry, creditEndsAtSec, service);
  }
}

function isKnown({ claim, offer, creditedMsat }: PaymentEntry): boolean {
  return claim !== undefined || offer !== undefined || creditedMsat !== undefined;
}

/** The other side of the books: what they wait for, and the walk did not meet. */
async function askAboutOffers(run: Run): Promise<void> {
  const { ledger, node, signal, met } = run;
  let after = '';
  let failuresInARow = 0;
  for (let asked = 0; asked < MAX_OFFERS; ) {
    const page = await ledger.openOffers(after, PAGE);
    for (const offer of page) {
      if (met.has(offer.paymentHash)) continue;
      signal.throwIfAborted();
      asked += 1;
      try {
        const timeout = AbortSignal.any([signal, AbortSignal.timeout(LOOK_UP_TIMEOUT_MS)]);
        const state = await node.lookupInvoice(offer.paymentHash, { signal: timeout });
        failuresInARow = 0;
        if (state?.kind !== 'settled') continue;
        const [entry] = await ledger.paymentEntries([offer.paymentHash]);
        if (entry === undefined) continue;
        const paid = { paymentHash: offer.paymentHash, paidMsat: state.paidMsat };
        await settleVerdict(run, paid, state.settledAtSec, entry, offer.creditExpiresAtSec, offer.service);
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
        run.unanswered += 1;
        // An answer, though none that makes sense: see look-up-offers.ts.
        if (error.code === 'protocol') continue;
        failuresInARow += 1;
        if (failuresInARow >= MAX_FAILURES_IN_A_ROW) throw error;
      }
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.paymentHash;
  }
}

/** Judges a payment, mends it when that is wanted and possible, and writes down how it stands then. */
async function settleVerdict(
  run: Run,
  paid: PaidInvoice,
  settledAtSec: number,
  entry: PaymentEntry,
  creditEndsAtSec: number,
  service: string | undefined,
): Promise<void> {
  const judge = (known: PaymentEntry): Verdict =>
    judgePayment(paid, known, {
      nowSec: Math.floor(run.nowMs() / 1000),
      watermarkSec: run.watermarkSec,
      creditEndsAtSec,
    });
  const first = judge(entry);
  const last = isMendable(first) ? await mend(run, paid, entry, judge, first) : first;
  const mended = first.kind !== last.kind;
  if (mended) run.mended += 1;
  const tally = run.tallies[last.kind];
  run.tallies[last.kind] = {
    payments: tally.payments + 1,
    paidMsat: addMsat(tally.paidMsat, paid.paidMsat),
  };
  const isQuiet = !mended && (last.kind === 'credited' || last.kind === 'forgotten');
  if (isQuiet) return;
  if (run.findings.length >= MAX_FINDINGS) {
    run.findingsLeftOff += 1;
    return;
  }
  const { paymentHash, paidMsat } = paid;
  run.findings.push({
    ...(service === undefined ? {} : { service }),
    ...last,
    // What it was is what a person wants to read; that it is mended stands beside it.
    kind: first.kind,
    paymentHash,
    paidMsat,
    settledAtSec,
    mended,
  });
}

function isMendable({ kind, note }: Verdict): boolean {
  return kind === 'claimed-late' || (kind === 'missing' && note === undefined);
}

async function mend(
  run: Run,
  paid: PaidInvoice,
  entry: PaymentEntry,
  judge: (entry: PaymentEntry) => Verdict,
  before: Verdict,
): Promise<Verdict> {
  if (run.mend === undefined) return before;
  try {
    if (entry.offer !== undefined) await run.mend(paid);
    else if (entry.claim !== undefined) {
      await run.ledger.redeem(entry.claim);
      await creditExcess(run.ledger, entry.claim, paid.paidMsat);
    }
  } catch (error) {
    // What the books refuse for good must not keep the other payments from being looked at.
    if (!(error instanceof StoreError) || error.code !== 'invalid') throw error;
  }
  const [after] = await run.ledger.paymentEntries([paid.paymentHash]);
  return after === undefined ? before : judge(after);
}

function emptyTallies(): Record<PaymentKind, Tally> {
  const none = { payments: 0, paidMsat: ZERO_MSAT };
  return { credited: none, 'claimed-late': none, unclaimed: none, missing: none, forgotten: none };
}
