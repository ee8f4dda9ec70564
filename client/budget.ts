import { addMsat, formatMsat, type Msat, minMsat, msat, subtractMsat, ZERO_MSAT } from '../node/msat.ts';
import { PaymentError } from './errors.ts';

/** What one purchase wants to set aside. All amounts msat. */
export interface BudgetRequest {
  readonly amountMsat: Msat;
  /** The most the network may take for its routing; lowered to what the budget has room for. */
  readonly wantedFeeMsat: Msat;
  /** What the same request has bought already, fees included. */
  readonly alreadyMsat: Msat;
}

/** Money set aside for one purchase. Ends with `commit` or `release`; what comes after the first of them does nothing. */
export interface Reservation {
  /** The most that may be paid in fees. */
  readonly maxFeeMsat: Msat;
  /** It was paid: what it really cost, fees included, counts from now on. */
  commit(spentMsat: Msat): void;
  /** Nothing was paid. */
  release(): void;
}

/** Limits what is spent. */
export interface Budget {
  /**
   * Sets money aside in one step, so that parallel requests can't overspend together.
   * @throws {@link PaymentError} `over-budget`
   */
  reserve(request: BudgetRequest): Reservation;
  /** Spent or set aside until now, msat. */
  committedMsat(): Msat;
}

/** Limits of {@link createBudget}, fees included, msat. */
export interface BudgetLimits {
  readonly perRequestMsat: Msat;
  /** Over the life of the budget. Absent: no limit. */
  readonly totalMsat?: Msat;
}

/**
 * A budget in memory. It begins at nothing spent with each process.
 * @example
 * const budget = createBudget({ perRequestMsat: sats(100), totalMsat: sats(5_000) });
 */
export function createBudget(limits: BudgetLimits): Budget {
  let committedMsat = ZERO_MSAT;
  return {
    committedMsat: () => committedMsat,
    // Synchronous from the check to the addition: nothing can come between.
    reserve({ amountMsat, wantedFeeMsat, alreadyMsat }) {
      const inRequest = roomIn(limits.perRequestMsat, alreadyMsat);
      const inTotal = limits.totalMsat === undefined ? inRequest : roomIn(limits.totalMsat, committedMsat);
      const room = minMsat(inRequest, inTotal);
      if (amountMsat > room) throw overBudget(amountMsat, inRequest, inTotal);
      const maxFeeMsat = minMsat(wantedFeeMsat, subtractMsat(room, amountMsat));
      const reservedMsat = addMsat(amountMsat, maxFeeMsat);
      committedMsat = addMsat(committedMsat, reservedMsat);
      let open = true;
      const settle = (spentMsat: Msat): void => {
        if (!open) return;
        open = false;
        committedMsat = addMsat(subtractMsat(committedMsat, reservedMsat), spentMsat);
      };
      return { maxFeeMsat, commit: settle, release: () => settle(ZERO_MSAT) };
    },
  };
}

function roomIn(limitMsat: Msat, usedMsat: Msat): Msat {
  return msat(Math.max(0, limitMsat - usedMsat));
}

function overBudget(amountMsat: Msat, inRequest: Msat, inTotal: Msat): PaymentError {
  const [room, name] =
    amountMsat > inRequest ? [inRequest, 'for this request'] : [inTotal, 'of the total budget'];
  return new PaymentError(
    'over-budget',
    `The price is ${formatMsat(amountMsat)} and only ${formatMsat(room)} is left ${name}. Nothing was paid; raise the limit to buy.`,
    { amountMsat },
  );
}
