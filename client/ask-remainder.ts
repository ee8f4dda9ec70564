import type { Msat } from '../node/msat.ts';
import type { AccountReport } from './account-report.ts';
import { askAccount } from './account-requests.ts';
import type { PaidToken } from './buyer.ts';
import type { Clock } from './clock.ts';
import { startTimeLimit } from './time-limit.ts';
import type { Shop } from './visit.ts';

/** How often it is asked for the last balance, and the pause between, ms. */
const MAX_QUESTIONS = 5;
const PAUSE_MS = 100;
const TIMEOUT_MS = 2_000;

/**
 * Asks what is left of an account after an answer that was charged as it was delivered: its head can't say.
 * @returns `undefined` when the server does not tell it within two seconds, or `signal` aborts
 */
export async function askRemainder(
  shop: Shop,
  token: PaidToken,
  signal?: AbortSignal,
): Promise<Msat | undefined> {
  const limit = startTimeLimit(shop.clock, TIMEOUT_MS);
  const ended = signal === undefined ? limit.signal : AbortSignal.any([limit.signal, signal]);
  const account = { url: new URL(token.origin), token };
  try {
    const ask = (): Promise<AccountReport> => askAccount(shop, account, token, ended);
    return (await askUntilBack(shop.clock, ask, ended)).balanceMsat;
  } catch {
    return undefined;
  } finally {
    limit.stop();
  }
}

/**
 * Asks until what an answer that has ended had set aside is back: the gateway may see its end later than the question. Other streams of the
 * account set money aside too, so it does not ask for ever.
 */
export async function askUntilBack(
  clock: Clock,
  ask: () => Promise<AccountReport>,
  signal: AbortSignal,
): Promise<AccountReport> {
  let report = await ask();
  for (let asked = 1; asked < MAX_QUESTIONS && (report.reservedMsat ?? 0) > 0; asked += 1) {
    await clock.sleep(PAUSE_MS, signal);
    if (signal.aborted) break;
    report = await ask();
  }
  return report;
}
