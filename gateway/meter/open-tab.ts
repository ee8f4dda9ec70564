import { type Msat, msat, ZERO_MSAT } from '../../node/msat.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type Reserve, type ReserveOutcome, StoreError } from '../ledger/store.ts';
import type { MeteredUnit } from '../pricing/price.ts';
import { Lease } from './lease.ts';
import { Counter, Seconds } from './quantity.ts';
import { costOf, rateOf } from './rate.ts';
import type { Settling } from './settle-tab.ts';
import { SpanLog } from './span-log.ts';
import { Tab } from './tab.ts';
import type { TabPort, TabSettings } from './tab-types.ts';
import type { MeterTerms, Opened } from './terms.ts';

const DEFAULT_SLICE_MS = 1_000;
/** A connection whose delivery began is paid for so long at least, ms; no longer than one slice, which is what was set aside. */
export const LEAST_PAID_MS = 250;
/** A held stream asks once a second whether there is credit, should the announcement be lost. */
const RETRY_MS = 1_000;
/** Slices that a lease outlives without a sign of life. */
const TTL_SLICES = 5;
const MAX_TTL_SEC = 24 * 3600;

/** The store's clock is asked for so often at most, until an answer is this quick, ms: half of that is what it may be wrong by. */
const CLOCK_ASKS = 4;
const CLOCK_NEAR_MS = 20;

/** Set aside at first, and at least ahead of delivery: a read's worth of bytes, a few events. */
const FIRST_UNITS: Readonly<Record<MeteredUnit, number>> = { second: 0, byte: 65_536, event: 16, unit: 1 };
/** With less than this there is no point in asking the upstream. */
const LEAST_UNITS: Readonly<Record<MeteredUnit, number>> = { second: 0, byte: 1_024, event: 1, unit: 1 };

/** What opening a tab needs. */
export interface TabDeps {
  readonly ledger: Pick<Ledger, 'reserve' | 'release' | 'nextKey' | 'clockMs'>;
  readonly unsettled: Settling;
  readonly tickMs: number;
  readonly leaseTtlSec: number;
  readonly now: () => number;
  /** What the clock has not counted so far because the process stood still, ms. */
  readonly missedMs: () => number;
  readonly port: TabPort<Tab>;
}

/** Outcome of {@link openTab}. */
export type OpenedTab =
  | { readonly kind: 'opened'; readonly tab: Tab }
  | Exclude<Opened, { readonly kind: 'opened' }>;

/**
 * Sets the first units aside, as one lease of the account.
 * @throws StoreError when the store is away; what it may have set aside is given back as soon as it is there
 * @throws RangeError for a price that can't be counted
 */
export async function openTab(deps: TabDeps, terms: MeterTerms): Promise<OpenedTab> {
  const key = sharedKey(terms);
  const clock = key === undefined ? undefined : await compareClocks(deps, terms.accountId);
  const settings = settingsOf(deps, terms, key);
  const sentAtMs = deps.now();
  const opened = await openLease(deps, terms, settings, firstAmounts(terms, settings.sliceMs));
  if (opened.kind !== 'opened') return opened;
  const quantity =
    terms.price.unit === 'second'
      ? new Seconds(
          Math.min(LEAST_PAID_MS, settings.sliceMs),
          // As of now: the process may have stood still since.
          clock === undefined ? undefined : new SpanLog(clock.aheadMs + deps.missedMs() - clock.missedMs),
        )
      : new Counter({
          leastAhead: FIRST_UNITS[terms.price.unit],
          sliceMs: settings.sliceMs,
          nowMs: sentAtMs,
        });
  return { kind: 'opened', tab: new Tab(opened.lease, quantity, settings, deps.port) };
}

/**
 * Takes a place among the streams that the account may have, for a connection that joins the tab of another: a tab on a lease of nothing.
 * Nothing is ever delivered on it, so that it is only kept alive, and needs no balance: the money is on the tab that is joined.
 * @throws StoreError when the store is away; a place that it may have given is given back as soon as it is there
 */
export async function openPlace(deps: TabDeps, terms: MeterTerms): Promise<OpenedTab> {
  const settings = settingsOf(deps, terms, undefined);
  const opened = await openLease(deps, terms, settings, [ZERO_MSAT, ZERO_MSAT]);
  if (opened.kind !== 'opened') return opened;
  return { kind: 'opened', tab: new Tab(opened.lease, new Seconds(), settings, deps.port) };
}

type OpenedLease =
  | { readonly kind: 'opened'; readonly lease: Lease }
  | Exclude<OpenedTab, { readonly kind: 'opened' }>;

async function openLease(
  deps: TabDeps,
  terms: MeterTerms,
  { sliceMs }: TabSettings,
  [firstMsat, leastMsat]: readonly [first: Msat, least: Msat],
): Promise<OpenedLease> {
  const { accountId, maxStreams } = terms;
  const ttlSec = Math.min(MAX_TTL_SEC, Math.max(deps.leaseTtlSec, Math.ceil((sliceMs * TTL_SLICES) / 1000)));
  const asked: Reserve = {
    accountId,
    leaseId: deps.ledger.nextKey(),
    amountMsat: firstMsat,
    ttlSec,
    ...(maxStreams === undefined ? {} : { maxLeases: maxStreams }),
  };
  const sentAtMs = deps.now();
  let reserved = asked;
  let outcome = await reserve(deps, reserved);
  if (outcome.kind === 'insufficient' && outcome.balanceMsat >= leastMsat && outcome.balanceMsat > 0) {
    reserved = { ...asked, amountMsat: outcome.balanceMsat };
    outcome = await reserve(deps, reserved);
  }
  switch (outcome.kind) {
    case 'insufficient':
      return { ...outcome, neededMsat: leastMsat };
    case 'too-many-leases':
      return { kind: 'too-many' };
    case 'unknown-account':
    case 'expired':
    case 'revoked':
      return outcome;
    default:
      break;
  }
  const { balanceMsat } = outcome;
  const { leaseId, amountMsat: reservedMsat } = reserved;
  const rate = rateOf(terms.price);
  return {
    kind: 'opened',
    lease: new Lease({ accountId, leaseId, rate, ttlSec, reservedMsat, balanceMsat, sentAtMs }),
  };
}

/** Connections that are charged once pay for their time together; at different rates they can't. @returns undefined for others */
export function sharedKey({ charge, price, service }: MeterTerms): string | undefined {
  if (charge !== 'once' || price.unit !== 'second') return undefined;
  return `${service} ${price.amountMsat}/${price.per}`;
}

interface ComparedClock {
  /** What the meter's clock lacked to the store's, ms. */
  readonly aheadMs: number;
  /** What the meter's clock had missed by then, ms. */
  readonly missedMs: number;
}

/** What brings this process's count and those of others on one line: the store's clock, as of the middle of the question. */
async function compareClocks(deps: TabDeps, accountId: string): Promise<ComparedClock> {
  let best: (ComparedClock & { readonly tookMs: number }) | undefined;
  for (let asks = 0; asks < CLOCK_ASKS && (best === undefined || best.tookMs > CLOCK_NEAR_MS); asks += 1) {
    const askedAtMs = deps.now();
    const missedMs = deps.missedMs();
    const storeMs = await deps.ledger.clockMs(accountId);
    const tookMs = deps.now() - askedAtMs;
    const aheadMs = storeMs - askedAtMs - Math.floor(tookMs / 2);
    if (best === undefined || tookMs < best.tookMs) best = { tookMs, aheadMs, missedMs };
  }
  return best ?? { aheadMs: 0, missedMs: 0 };
}

function settingsOf(deps: TabDeps, terms: MeterTerms, sharedAs: string | undefined): TabSettings {
  const { sliceMs = DEFAULT_SLICE_MS, holdMs, warnMs, service, price } = terms;
  const { tickMs } = deps;
  // Early enough for a tick and the store's answer, so that a slice never runs out while there is money.
  const leadMs = Math.floor(Math.min(sliceMs / 2, Math.max(2 * tickMs, sliceMs / 4)));
  const { unit } = price;
  const pace = { sliceMs, leadMs, tickMs, retryMs: RETRY_MS, holdMs, warnMs };
  return { service, unit, ...pace, ...(sharedAs === undefined ? {} : { sharedAs }) };
}

/** What to set aside, and what to be content with. */
function firstAmounts(terms: MeterTerms, sliceMs: number): readonly [first: Msat, least: Msat] {
  const rate = rateOf(terms.price);
  const { unit } = terms.price;
  if (unit === 'second') {
    const sliceMsat = costOf(rate, sliceMs);
    return [sliceMsat, sliceMsat];
  }
  const firstMsat = costOf(rate, terms.firstUnits ?? FIRST_UNITS[unit]);
  const leastMsat = costOf(rate, terms.leastUnits ?? terms.firstUnits ?? LEAST_UNITS[unit]);
  return [firstMsat, msat(Math.min(firstMsat, leastMsat))];
}

async function reserve(deps: TabDeps, asked: Reserve): Promise<ReserveOutcome> {
  try {
    return await deps.ledger.reserve(asked);
  } catch (error) {
    if (error instanceof StoreError && error.code === 'unavailable') {
      const { accountId, leaseId } = asked;
      void deps.unsettled.settle(() => deps.ledger.release({ accountId, leaseId, spendMsat: msat(0) }));
    }
    throw error;
  }
}
