import type { Config, ServiceConfig } from '../../config/config.ts';
import { formatMsat, type Msat, maxMsat, roundUpMsat } from '../../node/msat.ts';
import type { Invoice, LightningNode } from '../../node/node.ts';
import { GatewayError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Account, OfferOutcome } from '../ledger/store.ts';
import { formatPrice } from '../pricing/format-price.ts';
import type { Price } from '../pricing/price.ts';
import type { Invoicer } from './create-invoice.ts';
import type { Keyring } from './keys.ts';
import { mintToken } from './mint-token.ts';
import { quotePrice } from './quote-price.ts';
import type { Holder } from './verify-holder.ts';

/** How long a node may take to cancel an invoice that is not used, ms. */
const CANCEL_TIMEOUT_MS = 2_000;

/** What topping up needs. */
export interface TopUpDeps {
  readonly ledger: Pick<Ledger, 'account' | 'offer' | 'offersOf'>;
  readonly node: Pick<LightningNode, 'capabilities' | 'cancelInvoice'>;
  readonly invoicer: Invoicer;
  readonly keys: Keyring;
  readonly config: () => Config;
  readonly nowMs: () => number;
  readonly onInvoice: (service: ServiceConfig) => void;
}

/** A wish to add to an account. */
export interface TopUpOrder {
  readonly holder: Holder;
  /** `undefined`: what the service's challenge sells. */
  readonly amountMsat: Msat | undefined;
  /** Throttle key of the client's address. */
  readonly clientKey: string;
}

/** An invoice that adds to an account when it is paid. */
export interface TopUp {
  readonly invoice: Invoice;
  /** What its payment credits: the invoice's amount. */
  readonly creditMsat: Msat;
  /** A new token on the account, standard base64. Good once the invoice is paid, and as long as the credit. */
  readonly macaroon: string;
  /** Unix seconds: the end of the credit and of the token. */
  readonly validUntilSec: number;
  /** The account before. */
  readonly account: Account;
}

/**
 * Makes an invoice whose payment is credited to a funded account, whoever brings the news: the node's feed, by the offer
 * written here before anybody sees the invoice, or the client, by the preimage and the new token. Both name the same payment hash,
 * so it is credited once.
 * @throws GatewayError `credential-refused`, `price-changed`, `bad-amount`, `too-many-top-ups`, and what createInvoice throws
 * @throws StoreError
 */
export async function topUp(deps: TopUpDeps, order: TopUpOrder): Promise<TopUp> {
  const { holder, clientKey } = order;
  const { service, accountId } = holder;
  const config = deps.config();
  const account = await fundedAccount(deps, holder, config.topUp.maxOpen);
  const amountMsat = amountOf(deps, config, order);
  const invoice = await deps.invoicer.createInvoice({
    asker: { clientKey, paidAccountId: accountId },
    amountMsat,
    memo: `${config.challenge.memo}: ${service.name}, top-up`,
    price: 'dynamic',
  });
  deps.onInvoice(service);
  // From the invoice's own end: nobody may pay for credit that dies first.
  const validUntilSec = invoice.expiresAtSec + service.validForSec;
  await writeOffer(deps, holder, invoice, validUntilSec, config.topUp.maxOpen);
  const quote = { invoiceMsat: amountMsat, creditMsat: amountMsat, validUntilSec };
  const macaroon = mintToken(deps.keys, service, quote, invoice, accountId);
  return { invoice, creditMsat: amountMsat, macaroon, validUntilSec, account };
}

/** The account, when this credential may add to it: judged before the node is asked for anything. */
async function fundedAccount(deps: TopUpDeps, holder: Holder, maxOpen: number): Promise<Account> {
  const { accountId, service, narrowed, price } = holder;
  if (narrowed) throw refused('This credential was narrowed: use the original one to add to its account.');
  if (!keepsBalance(price) || !keepsBalance(service.price)) {
    throw refused(
      'What this credential bought has no balance to add to. Ask for the resource itself to buy again.',
    );
  }
  // On one account the older, cheaper credential would spend at its locked price what was bought at a higher one.
  if (formatPrice(price) !== formatPrice(service.price)) {
    throw new GatewayError(
      'price-changed',
      'The price has changed since this credential was bought. It is served at its own price until it is used up; to buy at the ' +
        'new price, ask for the resource itself without it.',
    );
  }
  const [account, open] = await Promise.all([
    deps.ledger.account(accountId),
    deps.ledger.offersOf(accountId),
  ]);
  if (account === undefined) throw refused('Nothing was ever credited to this account.');
  if (account.revoked) throw refused('The account was revoked by the operator.');
  if (open.length >= maxOpen) throw tooMany(maxOpen, firstEnd(open), deps.nowMs());
  return account;
}

/** A pass is valid for a time, and what is free needs nothing. */
function keepsBalance({ kind }: Price): boolean {
  return kind === 'call' || kind === 'bundle' || kind === 'metered';
}

/** @throws GatewayError `bad-amount` */
function amountOf(deps: TopUpDeps, config: Config, { holder, amountMsat }: TopUpOrder): Msat {
  const { capabilities } = deps.node;
  const nowSec = Math.floor(deps.nowMs() / 1000);
  const usualMsat = quotePrice(config, holder.service, capabilities, nowSec).invoiceMsat;
  const least = maxMsat(
    maxMsat(config.topUp.minMsat, config.challenge.minInvoiceMsat),
    capabilities.minInvoiceMsat,
  );
  const most = maxMsat(maxMsat(config.topUp.maxMsat, usualMsat), least);
  const asked = amountMsat ?? maxMsat(usualMsat, least);
  if (asked < least || asked > most) {
    throw new GatewayError(
      'bad-amount',
      `A top-up here is from ${formatMsat(least)} to ${formatMsat(most)}.`,
    );
  }
  return roundUpMsat(asked, capabilities.precisionMsat);
}

/** Durable before the invoice is shown: from then on a payment finds its account, whatever becomes of this process. */
async function writeOffer(
  deps: TopUpDeps,
  { accountId, service }: Holder,
  invoice: Invoice,
  creditExpiresAtSec: number,
  maxOpen: number,
): Promise<void> {
  const { paymentHash, amountMsat, expiresAtSec: invoiceExpiresAtSec } = invoice;
  const offer = {
    paymentHash,
    accountId,
    service: service.name,
    amountMsat,
    invoiceExpiresAtSec,
    creditExpiresAtSec,
  };
  let outcome: OfferOutcome['kind'];
  try {
    outcome = (await deps.ledger.offer(offer, maxOpen)).kind;
  } catch (error) {
    await withdraw(deps, paymentHash);
    throw error;
  }
  if (outcome === 'offered' || outcome === 'repeated') return;
  await withdraw(deps, paymentHash);
  switch (outcome) {
    case 'too-many':
      throw tooMany(maxOpen, invoiceExpiresAtSec, deps.nowMs());
    case 'revoked':
      throw refused('The account was revoked by the operator.');
    case 'expired':
      throw refused('The account has expired. Ask for the resource itself to buy again.');
    case 'unknown-account':
      throw refused('Nothing was ever credited to this account.');
  }
}

/** Nobody has seen the invoice, and nobody shall pay it: an offer that was written all the same is dropped at the next look-up. */
async function withdraw({ node, invoicer }: TopUpDeps, paymentHash: string): Promise<void> {
  invoicer.paid(paymentHash);
  // It expires by itself in minutes when the node can't cancel, or does not answer.
  await node.cancelInvoice(paymentHash, { signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS) }).catch(() => {});
}

function firstEnd(offers: readonly { readonly invoiceExpiresAtSec: number }[]): number {
  return Math.min(...offers.map(({ invoiceExpiresAtSec }) => invoiceExpiresAtSec));
}

function refused(message: string): GatewayError {
  return new GatewayError('credential-refused', message);
}

function tooMany(maxOpen: number, endsAtSec: number, nowMs: number): GatewayError {
  return new GatewayError(
    'too-many-top-ups',
    `This account has ${maxOpen} unpaid top-ups already. Pay one of them, or wait until one has expired.`,
    { retryAfterSec: Math.max(1, Math.ceil(endsAtSec - nowMs / 1000)) },
  );
}
