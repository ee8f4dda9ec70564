import { formatMsat, type Msat, roundUpMsat, sats } from '../node/msat.ts';
import type { AccountReport } from './account-report.ts';
import { AccountError, askAccount, askTopUp, type PaidAccount } from './account-requests.ts';
import { accountNameOf, retireOlder } from './account-tokens.ts';
import type { PaidToken, Purchase } from './buyer.ts';
import { PaymentError } from './errors.ts';
import { readMacaroonTerms } from './macaroon-terms.ts';
import { type Offer, readOffer } from './read-offer.ts';
import type { Shop } from './visit.ts';

/** A top-up that was paid and credited. */
export interface ToppedUp {
  /** What the invoice was for, msat. */
  readonly amountMsat: Msat;
  /** The account after it. */
  readonly report: AccountReport;
}

const CREDIT_TRIES = 8;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;

/**
 * Adds money to an account: finishes the payment of an earlier top-up if there is one, else asks for an invoice, checks
 * it, and pays it as every purchase is paid. `onPaid` is told as soon as the money is gone; the promise resolves when
 * the gateway has credited it.
 * @param alreadyMsat - what the same stream has paid before, for the budget
 * @throws {@link PaymentError}, {@link AccountError}
 */
export async function payTopUp(
  shop: Shop,
  account: PaidAccount,
  amountMsat: Msat,
  alreadyMsat: Msat,
  onPaid: (purchase: Purchase) => void,
): Promise<ToppedUp> {
  const purchase =
    (await finishEarlier(shop, account, alreadyMsat)) ?? (await buy(shop, account, amountMsat, alreadyMsat));
  onPaid(purchase);
  return creditTopUp(shop, account, purchase);
}

/**
 * Has a paid top-up credited: its new token is presented, so that nothing depends on what the gateway heard of its node.
 * From then on the account's newest token is this one.
 * @throws {@link PaymentError} `paid-but-refused`; {@link AccountError} when the gateway did not answer: then again
 */
export async function creditTopUp(shop: Shop, account: PaidAccount, purchase: Purchase): Promise<ToppedUp> {
  const { token, amountMsat } = purchase;
  const report = await present(shop, account, token);
  account.token = token;
  await retireOlder(shop, token);
  shop.emit({ type: 'topped-up', amountMsat, balanceMsat: report.balanceMsat });
  return { amountMsat, report };
}

/** What an earlier run, perhaps of a process that died, began to pay for the same account. Nothing is paid beside it. */
async function finishEarlier(
  shop: Shop,
  account: PaidAccount,
  alreadyMsat: Msat,
): Promise<Purchase | undefined> {
  const name = accountNameOf(account.token);
  if (name === undefined) return undefined;
  for (const record of await shop.store.list(account.url.origin)) {
    if (record.state.kind !== 'pending' || accountNameOf(record) !== name) continue;
    if (shop.buyer.isBuying(record.paymentHash)) continue;
    const purchase = await shop.buyer.resume(record, alreadyMsat);
    if (purchase !== undefined) return purchase;
  }
  return undefined;
}

async function buy(shop: Shop, account: PaidAccount, amountMsat: Msat, alreadyMsat: Msat): Promise<Purchase> {
  const offer = await readOffer(await ask(shop, account, amountMsat), account.url, shop.clock);
  checkTopUp(offer, account.token, amountMsat);
  return shop.buyer.buy(offer, alreadyMsat);
}

async function ask(shop: Shop, account: PaidAccount, amountMsat: Msat): Promise<Response> {
  try {
    return await askTopUp(shop, account, amountMsat);
  } catch (error) {
    if (!(error instanceof AccountError) || error.kind === 'unavailable') throw error;
    const message = `The gateway gives no invoice to top the account up: ${error.message} Nothing was paid.`;
    throw new PaymentError('top-up-refused', message, { cause: error, amountMsat });
  }
}

/** The offer must be for what was asked: no more money, the same service, the same account. */
function checkTopUp({ quote, terms }: Offer, token: PaidToken, askedMsat: Msat): void {
  const { paymentHash, amountMsat } = quote;
  // Some nodes take whole sats only.
  if (amountMsat > roundUpMsat(askedMsat, sats(1))) {
    throw new PaymentError(
      'invoice-mismatch',
      `A top-up of ${formatMsat(askedMsat)} was asked for and the invoice is for ${formatMsat(amountMsat)}. Nothing was paid; ` +
        'if the gateway has a larger smallest invoice, top up by more.',
      { paymentHash, amountMsat },
    );
  }
  const own = readMacaroonTerms(token.macaroon);
  if (own.service === terms.service && own.account === terms.account) return;
  throw new PaymentError(
    'invoice-mismatch',
    'The top-up that the server offers is for another account or service. Nothing was paid.',
    { paymentHash, amountMsat },
  );
}

/** Presents the new token until the gateway has answered to it. */
async function present(shop: Shop, account: PaidAccount, token: PaidToken): Promise<AccountReport> {
  for (let tries = 1, pauseMs = FIRST_PAUSE_MS; ; tries += 1) {
    try {
      return await askAccount(shop, account, token);
    } catch (error) {
      if (!(error instanceof AccountError)) throw error;
      if (error.kind !== 'unavailable') throw notCredited(token, error);
      if (tries >= CREDIT_TRIES) throw error;
      await shop.clock.sleep(error.retryAfterMs ?? pauseMs);
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }
}

function notCredited({ paymentHash, amountMsat }: PaidToken, cause: unknown): PaymentError {
  return new PaymentError(
    'paid-but-refused',
    `The top-up of ${formatMsat(amountMsat)} was paid and the gateway does not accept it. Its token is kept; tell the operator ` +
      'the payment hash if it stays so.',
    { cause, paymentHash, amountMsat },
  );
}
