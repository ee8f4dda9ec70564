import { addMsat, type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { GatewayError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type AttemptEnd, type AttemptName, type Refusal, type Spend, StoreError } from '../ledger/store.ts';
import { lockedCallPrice } from '../pricing/quote.ts';
import type { Exchange } from './exchange.ts';
import type { MeteredCharge } from './metered-charge.ts';
import type { RetryKey } from './read-retry-key.ts';
import type { Unsettled } from './unsettled.ts';
import type { Grant } from './verify-credential.ts';

/** What was taken for a request, and how to end it. */
export interface Charge {
  readonly accountId: string;
  /** Taken from the balance, msat; 0 for a pass and for a free retry. */
  readonly amountMsat: Msat;
  /** Left after it, msat; undefined for a pass. */
  readonly balanceMsat: Msat | undefined;
  /** Unix seconds: when the credential, or what it bought, is over. */
  readonly validUntilSec: number;
  /** It grows while the answer is delivered. */
  readonly metered?: MeteredCharge;
  /** Whether this end of the request changes anything in the ledger: most don't, and cost nothing. */
  mustEnd(how: AttemptEnd): boolean;
  /** Settles it, exactly once: `refunded` gives the amount back. @throws StoreError */
  end(how: AttemptEnd): Promise<void>;
}

/** The longest that the store takes an attempt to be in flight, seconds. */
const MAX_IN_FLIGHT_SEC = 24 * 3600;

/** What charging needs. */
export interface ChargeDeps {
  readonly ledger: Ledger;
  readonly unsettled: Unsettled;
}

/** Outcome of {@link chargeCall}. */
export type ChargeResult =
  | { readonly kind: 'charged'; readonly charge: Charge }
  | {
      readonly kind: 'unpaid';
      readonly reason: 'spent' | 'expired' | 'revoked' | 'price-changed';
      /** The store knows no such account. */
      readonly isForgotten?: true;
    };

/**
 * Takes the price of one call from the account, before anything is forwarded. (For a pass: {@link passCharge}.)
 * @param retryKey - present when the request carries a usable Idempotency-Key
 * @throws GatewayError `retry-in-flight`, `idempotency-mismatch`
 * @throws StoreError `unavailable`: the outcome is unknown; the spend is voided by its key when the store is back
 */
export async function chargeCall(
  deps: ChargeDeps,
  exchange: Exchange,
  grant: Grant,
  retryKey: RetryKey | undefined,
): Promise<ChargeResult> {
  const { accountId } = grant.minted;
  // Credit that was bought to be counted buys no pass, and a pass is all that is sold now.
  if (grant.price.kind === 'metered' && exchange.service.price.kind === 'pass')
    return { kind: 'unpaid', reason: 'price-changed' };
  const amountMsat = lockedCallPrice(exchange.service.price, grant.price);
  if (retryKey !== undefined)
    return beginAttempt(deps, { accountId, amountMsat, ...retryKey }, exchange, grant);
  const { ledger } = deps;
  const spend: Spend = { accountId, amountMsat, key: ledger.nextKey() };
  const outcome = await orVoid(deps, ledger.spend(spend), () => ledger.voidSpend(spend));
  switch (outcome.kind) {
    case 'spent':
    case 'repeated':
      return { kind: 'charged', charge: spentCharge(ledger, spend, grant, outcome.balanceMsat) };
    case 'voided':
      throw new StoreError('unavailable', 'the spend was voided before it arrived');
    default:
      return unpaid(outcome);
  }
}

const NOTHING_TO_END: Pick<Charge, 'mustEnd' | 'end'> = {
  mustEnd: () => false,
  end: () => Promise.resolve(),
};

/** A pass takes nothing, and asks no store. */
export function passCharge({ minted, validUntilSec }: Grant): Charge {
  const { accountId } = minted;
  return {
    accountId,
    validUntilSec,
    amountMsat: ZERO_MSAT,
    balanceMsat: undefined,
    mustEnd: NOTHING_TO_END.mustEnd,
    end: NOTHING_TO_END.end,
  };
}

function spentCharge(ledger: Ledger, spend: Spend, grant: Grant, balanceMsat: Msat): Charge {
  return {
    accountId: spend.accountId,
    validUntilSec: grant.validUntilSec,
    amountMsat: spend.amountMsat,
    balanceMsat,
    mustEnd: (how) => how === 'refunded',
    async end(how) {
      if (how !== 'refunded') return;
      const { kind } = await ledger.refundSpend(spend);
      if (kind === 'unknown-account') throw notGivenBack(spend);
    },
  };
}

/**
 * A verb whose answer was lost has an unknown outcome: the request is refused, and the verb is voided by its key as soon as
 * the store is back, so that nobody pays for it.
 */
async function orVoid<T>(deps: ChargeDeps, verb: Promise<T>, undo: () => Promise<unknown>): Promise<T> {
  try {
    return await verb;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'unavailable') void deps.unsettled.settle(undo);
    throw error;
  }
}

async function beginAttempt(
  deps: ChargeDeps,
  asked: Spend & RetryKey,
  exchange: Exchange,
  grant: Grant,
): Promise<ChargeResult> {
  const { service } = exchange;
  // As long as the upstream may take: after that a gateway that died can't be answering any more.
  const inFlightSec = Math.min(
    MAX_IN_FLIGHT_SEC,
    Math.ceil((service.connectTimeoutMs + service.headersTimeoutMs + service.idleTimeoutMs) / 1000),
  );
  const { ledger } = deps;
  const attempt = { ...asked, attemptId: ledger.nextKey(), inFlightSec };
  const outcome = await orVoid(deps, ledger.beginAttempt(attempt), () => ledger.voidAttempt(attempt));
  switch (outcome.kind) {
    case 'spent':
    case 'free':
      return {
        kind: 'charged',
        charge: {
          accountId: attempt.accountId,
          validUntilSec: grant.validUntilSec,
          amountMsat: outcome.kind === 'spent' ? attempt.amountMsat : ZERO_MSAT,
          balanceMsat: outcome.balanceMsat,
          mustEnd: () => true,
          end: endOfAttempt(ledger, attempt),
        },
      };
    case 'in-flight':
      throw new GatewayError(
        'retry-in-flight',
        'The first request with this Idempotency-Key is still under way.',
        {
          retryAfterSec: 1,
        },
      );
    case 'mismatch':
      throw new GatewayError(
        'idempotency-mismatch',
        'This Idempotency-Key was used for another request. Use a new key for each different request.',
      );
    case 'voided':
      throw new StoreError('unavailable', 'the attempt was voided before it arrived');
    default:
      return unpaid(outcome);
  }
}

/** A repetition after a lost answer finds no attempt in flight, and that is well; the first try must find it. */
function endOfAttempt(ledger: Ledger, attempt: AttemptName & Spend): Charge['end'] {
  let tried = false;
  return async (how) => {
    const first = !tried;
    tried = true;
    const { kind } = await ledger.endAttempt(attempt, how);
    if (kind === 'unknown' && how === 'refunded' && first) throw notGivenBack(attempt);
  };
}

/** For the log: the operator may give it back by hand. */
function notGivenBack({ accountId, amountMsat }: Spend): StoreError {
  return new StoreError('invalid', `${amountMsat} msat could not be given back to account ${accountId}`);
}

function unpaid(refusal: Refusal): ChargeResult {
  switch (refusal.kind) {
    case 'insufficient':
      return { kind: 'unpaid', reason: 'spent' };
    case 'unknown-account':
      return { kind: 'unpaid', reason: 'spent', isForgotten: true };
    case 'expired':
    case 'revoked':
      return { kind: 'unpaid', reason: refusal.kind };
  }
}

/** The balance that a client sees: what is left, and what comes back when the charge is refunded. */
export function shownBalanceMsat(charge: Charge, refunded: boolean): Msat | undefined {
  if (charge.balanceMsat === undefined) return undefined;
  const backMsat = charge.metered?.meter.refundableMsat ?? charge.amountMsat;
  return refunded ? addMsat(charge.balanceMsat, backMsat) : charge.balanceMsat;
}
