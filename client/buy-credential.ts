import { addMsat, formatMsat, type Msat, msat, ZERO_MSAT } from '../node/msat.ts';
import { askAccount, type PaidAccount } from './account-requests.ts';
import { messageOf, type PaidToken, type Purchase } from './buyer.ts';
import { PaymentError } from './errors.ts';
import { readMacaroonTerms } from './macaroon-terms.ts';
import { authorizationOf } from './purchase-record.ts';
import { type Offer, readOffer } from './read-offer.ts';
import type { ReplayableRequest } from './replayable-request.ts';
import { payTopUp } from './top-up.ts';
import type { Shop } from './visit.ts';

/** A credential that was bought, to be used elsewhere. */
export interface Credential {
  /** The value of `Authorization`: `L402 <macaroon>:<preimage>`. */
  readonly authorization: string;
  /** `<macaroon>:<preimage>`, for whatever takes an API key or a bearer token. */
  readonly apiKey: string;
  /** Name of the service; empty when it is not known. */
  readonly service: string;
  /** What can be spent, msat, if the gateway says so; 0 for a pass. */
  readonly balanceMsat?: Msat;
  /** Unix seconds: it is no good after it. */
  readonly validUntilSec?: number;
  readonly paidMsat: Msat;
  readonly feeMsat: Msat;
}

/**
 * Buys a credential without using it: what the price of a request sells, topped up to `amountMsat` when that is less. Nothing that is
 * stored is given away, so the credential is always a new one, with an account of its own.
 * @returns `undefined` when the request costs nothing
 * @throws {@link PaymentError}; `over-budget` when the smallest purchase is more than `amountMsat`
 */
export async function buyCredential(
  shop: Shop,
  request: ReplayableRequest,
  amountMsat: Msat,
): Promise<Credential | undefined> {
  const { headers, settings, signal } = request;
  const response = await shop.fetch(request.url.href, {
    ...settings,
    headers,
    redirect: 'error',
    signal: signal ?? null,
  });
  if (response.status !== 402) {
    await response.body?.cancel();
    if (response.status === 429 || response.status >= 500) throw noPrice(response.status);
    return undefined;
  }
  const offer = await readOffer(response, request.url, shop.clock);
  checkSize(offer, amountMsat);
  const first = await shop.buyer.buy(offer, ZERO_MSAT);
  const account: PaidAccount = { url: request.url, token: first.token };
  const credential = await topUpTo(shop, account, first, amountMsat);
  await giveAway(shop, first.token, account.token);
  return credential;
}

/** Whether it costs anything is not known. */
function noPrice(status: number): PaymentError {
  const message = `The server answered ${status} and named no price. Nothing was paid; ask again later.`;
  return new PaymentError('no-challenge', message);
}

/** From now on the tokens belong to whoever gets the credential: this store must not spend them. */
async function giveAway(shop: Shop, ...tokens: readonly PaidToken[]): Promise<void> {
  try {
    for (const { paymentHash } of tokens) await shop.store.update(paymentHash, () => undefined);
  } catch (error) {
    shop.emit({ type: 'store-failed', message: messageOf(error) });
  }
}

function checkSize({ quote, terms }: Offer, wantedMsat: Msat): void {
  if (quote.amountMsat <= wantedMsat) return;
  const thing = terms.creditMsat === 0 ? 'A pass' : 'The smallest credit sold here';
  throw new PaymentError(
    'over-budget',
    `${thing} costs ${formatMsat(quote.amountMsat)}, and ${formatMsat(wantedMsat)} was asked for. Nothing was paid.`,
    { paymentHash: quote.paymentHash, amountMsat: quote.amountMsat },
  );
}

async function topUpTo(
  shop: Shop,
  account: PaidAccount,
  first: Purchase,
  wantedMsat: Msat,
): Promise<Credential> {
  const { creditMsat, service = '' } = readMacaroonTerms(first.token.macaroon);
  const { amountMsat: paidMsat, feeMsat } = first;
  const missingMsat = msat(Math.max(0, wantedMsat - paidMsat));
  // A pass has no balance, and nothing to add to.
  if (creditMsat === 0)
    return toCredential(first.token, service, { paidMsat, feeMsat, balanceMsat: ZERO_MSAT });
  if (missingMsat === 0) {
    const report = await askAccount(shop, account).catch(() => undefined);
    const known = report === undefined ? {} : { balanceMsat: report.balanceMsat };
    return toCredential(first.token, service, { paidMsat, feeMsat, ...known });
  }
  try {
    return await addMissing(shop, account, first, missingMsat, service);
  } catch (cause) {
    throw halfBought(first, cause);
  }
}

async function addMissing(
  shop: Shop,
  account: PaidAccount,
  first: Purchase,
  missingMsat: Msat,
  service: string,
): Promise<Credential> {
  // The account opens when its first credential is presented; only then it can be topped up.
  const before = await askAccount(shop, account);
  shop.emit({ type: 'topping-up', amountMsat: missingMsat, balanceMsat: before.balanceMsat });
  let second = first;
  const alreadyMsat = addMsat(first.amountMsat, first.feeMsat);
  const { report } = await payTopUp(shop, account, missingMsat, alreadyMsat, (purchase) => {
    second = purchase;
  });
  return toCredential(account.token, service, {
    paidMsat: addMsat(first.amountMsat, second.amountMsat),
    feeMsat: addMsat(first.feeMsat, second.feeMsat),
    balanceMsat: report.balanceMsat,
  });
}

function halfBought({ amountMsat, token }: Purchase, cause: unknown): PaymentError {
  const code = cause instanceof PaymentError ? cause.code : 'top-up-refused';
  return new PaymentError(
    code,
    `${formatMsat(amountMsat)} was bought, and could not be topped up: ${messageOf(cause)} What was bought is kept in the token ` +
      'store, and is used by the next paid request.',
    { cause, amountMsat, paymentHash: token.paymentHash },
  );
}

function toCredential(
  { scheme, macaroon, state, validUntilSec }: PaidToken,
  service: string,
  amounts: Pick<Credential, 'paidMsat' | 'feeMsat' | 'balanceMsat'>,
): Credential {
  return {
    authorization: authorizationOf(scheme, macaroon, state.preimage),
    apiKey: `${macaroon}:${state.preimage}`,
    service,
    ...(validUntilSec === undefined ? {} : { validUntilSec }),
    ...amounts,
  };
}
