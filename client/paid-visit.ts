import { addMsat, type Msat } from '../node/msat.ts';
import { perSecond, readMeteredRate } from './account-report.ts';
import { type AccountFollower, type Balance, followAccount } from './follow-account.ts';
import { readMacaroonTerms } from './macaroon-terms.ts';
import { balanceOf } from './note-answer.ts';
import type { StreamEnd } from './paid-body.ts';
import type { Visited } from './pay-and-send.ts';
import type { TopUpRule } from './top-up-rule.ts';
import type { Shop } from './visit.ts';

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
  readonly topUps: number;
  /** What the gateway said at the end. */
  readonly balanceMsat?: Msat;
  /** What was bought and what is left tell what was used. Absent with a token from before: what there was at first is not known. */
  readonly usedMsat?: Msat;
}

/** How long the end of a stream waits for what is left of its money, ms. */
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

/** Asks once more what is left, and stops following. */
export async function summarize(
  shop: Shop,
  visited: Visited,
  follower: AccountFollower | undefined,
  seen: Pick<StreamSummary, 'end' | 'bytes' | 'elapsedMs'>,
): Promise<StreamSummary> {
  const { paidMsat, feeMsat, token } = visited;
  if (follower === undefined) return { ...seen, paidMsat, feeMsat, topUps: 0 };
  const stop = new AbortController();
  const late = shop.clock.sleep(LAST_QUESTION_MS, stop.signal).then(() => undefined);
  const balance = (await Promise.race([follower.finalBalance(), late])) ?? follower.balance();
  stop.abort();
  follower.stop();
  const totals = follower.totals();
  const summary: StreamSummary = {
    ...seen,
    paidMsat: addMsat(paidMsat, totals.paidMsat),
    feeMsat: addMsat(feeMsat, totals.feeMsat),
    topUps: totals.count,
  };
  if (balance === undefined) return summary;
  const { balanceMsat } = balance;
  // Of a token from before only the head tells, and that without what was set aside for the beginning.
  const hadMsat = paidMsat > 0 ? token?.amountMsat : undefined;
  if (hadMsat === undefined) return { ...summary, balanceMsat };
  const usedMsat = Math.max(0, hadMsat + totals.creditedMsat - balanceMsat) as Msat;
  return { ...summary, balanceMsat, usedMsat };
}
