import { addMsat, type Msat } from '../node/msat.ts';
import { perSecond, readMeteredRate } from './account-report.ts';
import type { TopUpTotals } from './auto-top-up.ts';
import { type AccountFollower, type Balance, followAccount } from './follow-account.ts';
import { readMacaroonTerms } from './macaroon-terms.ts';
import { balanceOf } from './note-answer.ts';
import type { StreamEnd } from './paid-body.ts';
import type { Visited } from './pay-and-send.ts';
import type { TopUpRule } from './top-up-rule.ts';
import type { Shop } from './visit.ts';
import { within } from './within.ts';

/** How a stream is paid for while it lives. */
export interface PaidStreamOptions {
  /** Tops the account up before it is empty, within the budget. `false`: never. Default: as {@link TopUpRule} says. */
  readonly autoTopUp?: TopUpRule | false;
  /** Told whenever the gateway says what is left. */
  readonly onBalance?: (balance: Balance) => void;
}

/** What a stream came to. */
export interface StreamSummary {
  /** `complete`: it ended by itself; `closed`: by the caller; `cut`: its money ran out; `failed`: it broke off. */
  readonly end: StreamEnd;
  readonly bytes: number;
  readonly elapsedMs: number;
  /** Paid for it: the first purchase and the top-ups, msat. Tokens from before cost nothing. */
  readonly paidMsat: Msat;
  readonly feeMsat: Msat;
  /** Top-ups that were paid and credited. */
  readonly topUps: number;
  /**
   * A top-up that was still under way at the end, msat: it is not in `topUps`, but in `paidMsat` if it was paid. It is written down, and what
   * it adds to the account is used by the next request. `usedMsat` is absent then.
   */
  readonly pendingTopUpMsat?: Msat;
  /** What the gateway said at the end. */
  readonly balanceMsat?: Msat;
  /** What was bought and what is left tell what was used. Absent with a token from before: what there was at first is not known. */
  readonly usedMsat?: Msat;
}

/** How long the end of a stream waits for a payment that is under way, and for what is left of its money, ms. */
const LAST_PAYMENT_MS = 5_000;
const LAST_QUESTION_MS = 2_000;

/** Follows the account that pays for an answer; `undefined` for what is free, failed, or has a price that is paid at once. */
export function followVisit(
  shop: Shop,
  url: URL,
  { response, token, paidMsat, feeMsat }: Visited,
  { autoTopUp, onBalance }: PaidStreamOptions,
): AccountFollower | undefined {
  if (token === undefined || !response.ok) return undefined;
  const { price, creditMsat } = readMacaroonTerms(token.macaroon);
  const rate = readMeteredRate(response.headers.get('l402-price') ?? price);
  const isMetered = rate !== undefined || (price === undefined && (creditMsat ?? 0) > 0);
  if (!isMetered) return undefined;
  return followAccount(
    shop,
    { url, token },
    {
      autoTopUp: autoTopUp === false ? undefined : (autoTopUp ?? {}),
      onBalance,
      boughtMsat: token.amountMsat,
      alreadyMsat: addMsat(paidMsat, feeMsat),
      balanceMsat: balanceOf(response),
      announced: perSecond(rate),
    },
  );
}

/**
 * Waits for a top-up that is under way, asks once more what is left, and stops following: all of it within a few seconds, so that a wallet
 * or a gateway that hangs holds nobody up.
 */
export async function summarize(
  shop: Shop,
  visited: Visited,
  follower: AccountFollower | undefined,
  seen: Pick<StreamSummary, 'end' | 'bytes' | 'elapsedMs'>,
): Promise<StreamSummary> {
  const { paidMsat, feeMsat, token } = visited;
  if (follower === undefined) return { ...seen, paidMsat, feeMsat, topUps: 0 };
  await within(follower.windDown(), LAST_PAYMENT_MS, shop.clock);
  const { balance, totals } = await lastWord(shop, follower);
  follower.stop();
  const { pendingMsat } = totals;
  const summary: StreamSummary = {
    ...seen,
    paidMsat: addMsat(paidMsat, totals.paidMsat),
    feeMsat: addMsat(feeMsat, totals.feeMsat),
    topUps: totals.count,
    ...(pendingMsat === 0 ? {} : { pendingTopUpMsat: pendingMsat }),
  };
  if (balance === undefined) return summary;
  const { balanceMsat } = balance;
  // Of a token from before only the head tells, and that without what was set aside for the beginning.
  const hadMsat = paidMsat > 0 ? token?.amountMsat : undefined;
  // The gateway may have seen a payment whose end is not known here.
  if (hadMsat === undefined || pendingMsat > 0) return { ...summary, balanceMsat };
  const usedMsat = Math.max(0, hadMsat + totals.creditedMsat - balanceMsat) as Msat;
  return { ...summary, balanceMsat, usedMsat };
}

/** The balance and what made it: when a top-up was credited while it was asked for, it is asked for again. */
async function lastWord(
  { clock }: Shop,
  follower: AccountFollower,
): Promise<{ readonly balance: Balance | undefined; readonly totals: TopUpTotals }> {
  for (let again = 1; ; again -= 1) {
    const totals = follower.totals();
    const balance = (await within(follower.finalBalance(), LAST_QUESTION_MS, clock)) ?? follower.balance();
    if (again === 0 || totals.count === follower.totals().count)
      return { balance, totals: follower.totals() };
  }
}
