import { addMsat, formatMsat, type Msat, maxMsat, msat, sats } from '../node/msat.ts';
import type { Network, PaymentState } from '../node/node.ts';
import type { Budget, Reservation } from './budget.ts';
import type { Clock } from './clock.ts';
import { PaymentError } from './errors.ts';
import type { PaymentEvent, Quote } from './events.ts';
import { type PaymentTask, payToEnd, waitForEnd } from './pay-to-end.ts';
import { contextOf, isPreimageOf, toRecord } from './purchase-record.ts';
import { checkPayable, type Offer } from './read-offer.ts';
import type { TokenRecord, TokenStore } from './token-store.ts';
import type { Wallet } from './wallet.ts';

/** A record whose invoice is paid. */
export interface PaidToken extends TokenRecord {
  readonly state: Exclude<TokenRecord['state'], { kind: 'pending' }>;
}

/** A token that was just bought, and what it cost. */
export interface Purchase {
  readonly token: PaidToken;
  readonly amountMsat: Msat;
  readonly feeMsat: Msat;
  /** Paid by an earlier request, which did not live to see it: it costs this one nothing. */
  readonly recovered: boolean;
}

/** What {@link createBuyer} works with. */
export interface BuyerOptions {
  readonly wallet: Wallet;
  readonly budget: Budget;
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly network: Network | undefined;
  readonly approve: ((quote: Quote) => boolean | Promise<boolean>) | undefined;
  readonly maxFeeMsat: (amountMsat: Msat) => Msat;
  readonly payTimeoutMs: number;
  readonly settleTimeoutMs: number;
  readonly emit: (event: PaymentEvent) => void;
}

/** Buys tokens. */
export interface Buyer {
  /**
   * Checks an offer, sets its price aside, writes the purchase down, pays, writes the token down: in this order.
   * @param alreadyMsat - what the same request has bought before
   * @throws {@link PaymentError}
   */
  buy(offer: Offer, alreadyMsat: Msat): Promise<Purchase>;
  /**
   * Finishes a purchase that an earlier request began. `undefined` when it came to nothing and cost nothing.
   * @throws {@link PaymentError}
   */
  resume(record: TokenRecord, alreadyMsat: Msat): Promise<Purchase | undefined>;
  /** A purchase of this buyer is under way for that payment hash. */
  isBuying(paymentHash: string): boolean;
}

interface Till extends BuyerOptions {
  readonly buying: Set<string>;
  /** Money of payments whose end is not known stays set aside. */
  readonly held: Map<string, Reservation>;
}

/** Makes a {@link Buyer}. */
export function createBuyer(options: BuyerOptions): Buyer {
  const till: Till = { ...options, buying: new Set(), held: new Map() };
  const whileBuying = async <T>(paymentHash: string, work: () => Promise<T>): Promise<T> => {
    till.buying.add(paymentHash);
    try {
      return await work();
    } finally {
      till.buying.delete(paymentHash);
    }
  };
  return {
    buy: (offer, alreadyMsat) => whileBuying(offer.quote.paymentHash, () => buy(till, offer, alreadyMsat)),
    resume: (record, alreadyMsat) => whileBuying(record.paymentHash, () => resume(till, record, alreadyMsat)),
    isBuying: (paymentHash) => till.buying.has(paymentHash),
  };
}

/** Up to 3 % of the price, and 5 sat for a small one: routes cost a base fee, whatever the amount. */
export function defaultMaxFeeMsat(amountMsat: Msat): Msat {
  return maxMsat(sats(5), msat(Math.ceil(amountMsat * 0.03)));
}

async function buy(till: Till, offer: Offer, alreadyMsat: Msat): Promise<Purchase> {
  checkPayable(offer, await findNetwork(till), till.clock.nowMs());
  const record = toRecord(offer, till.clock.nowMs());
  const reservation = reserve(till, record, alreadyMsat);
  try {
    till.emit({ type: 'quote', ...offer.quote });
    if (till.approve !== undefined && !(await till.approve(offer.quote))) throw declined(offer.quote);
    await writeDown(till.store, record);
  } catch (error) {
    reservation.release();
    throw error;
  }
  return pay(till, record, reservation);
}

async function resume(till: Till, record: TokenRecord, alreadyMsat: Msat): Promise<Purchase | undefined> {
  const { paymentHash } = record;
  let state: PaymentState | undefined;
  try {
    state = await till.wallet.lookupPayment(paymentHash, contextOf(record));
  } catch (cause) {
    throw paymentUnknown(record, cause);
  }
  if (state === undefined && till.clock.nowMs() / 1000 <= record.invoiceExpiresAtSec) {
    // The process ended between writing it down and paying, or the wallet has not got it yet. It is paid, not another
    // one in its place: a node pays a payment hash once, however often it is asked.
    return pay(till, record, till.held.get(paymentHash) ?? reserve(till, record, alreadyMsat));
  }
  const end = state?.kind === 'in-flight' ? await waitForEnd(taskFor(till, record)) : state;
  if (end === undefined || end.kind === 'failed') {
    await abandon(till, record, till.held.get(paymentHash));
    return undefined;
  }
  return conclude(till, record, end, till.held.get(paymentHash), true);
}

function reserve(till: Till, { amountMsat }: TokenRecord, alreadyMsat: Msat): Reservation {
  return till.budget.reserve({ amountMsat, wantedFeeMsat: till.maxFeeMsat(amountMsat), alreadyMsat });
}

async function pay(till: Till, record: TokenRecord, reservation: Reservation): Promise<Purchase> {
  const { paymentHash, amountMsat } = record;
  const { maxFeeMsat } = reservation;
  till.emit({ type: 'paying', paymentHash, amountMsat, maxFeeMsat });
  let end: PaymentState;
  try {
    end = await payToEnd(taskFor(till, record), maxFeeMsat);
  } catch (error) {
    await abandon(till, record, reservation);
    throw error;
  }
  return conclude(till, record, end, reservation, false);
}

/** Turns the end of a payment into a token or an error, and settles the money that was set aside. */
async function conclude(
  till: Till,
  record: TokenRecord,
  end: PaymentState,
  reservation: Reservation | undefined,
  recovered: boolean,
): Promise<Purchase> {
  const { paymentHash, amountMsat } = record;
  if (end.kind === 'in-flight') {
    if (reservation !== undefined) till.held.set(paymentHash, reservation);
    throw paymentUnknown(record);
  }
  if (end.kind === 'failed') {
    await abandon(till, record, reservation);
    const message = `The payment failed: ${end.reason}. Nothing was paid.`;
    throw new PaymentError('payment-failed', message, { paymentHash, amountMsat });
  }
  till.held.delete(paymentHash);
  const { preimage, feeMsat } = end;
  // A wallet that does not know what was paid says 0.
  const paidMsat = maxMsat(end.amountMsat, amountMsat);
  reservation?.commit(addMsat(paidMsat, feeMsat));
  if (!(await isPreimageOf(preimage, paymentHash))) throw wrongPreimage(record);
  const token: PaidToken = { ...record, state: { kind: 'ready', preimage: preimage.toLowerCase() } };
  // On failure the pending record stays, and a look at the wallet brings the preimage back.
  await till.store.put(token).catch((error: unknown) => tellStoreFailed(till, error));
  till.emit({ type: 'paid', paymentHash, amountMsat: paidMsat, feeMsat, recovered });
  return { token, amountMsat: paidMsat, feeMsat, recovered };
}

/** Nothing was paid: the money goes back and the record goes away. */
async function abandon(till: Till, record: TokenRecord, reservation: Reservation | undefined): Promise<void> {
  reservation?.release();
  till.held.delete(record.paymentHash);
  await till.store
    .update(record.paymentHash, (other) => (other.state.kind === 'pending' ? undefined : other))
    .catch((error: unknown) => tellStoreFailed(till, error));
}

function tellStoreFailed(till: Till, error: unknown): void {
  till.emit({ type: 'store-failed', message: messageOf(error) });
}

function taskFor(till: Till, record: TokenRecord): PaymentTask {
  const { wallet, clock, payTimeoutMs, settleTimeoutMs } = till;
  const { invoice, paymentHash } = record;
  const onWaiting = (): void => till.emit({ type: 'waiting', paymentHash });
  return {
    wallet,
    clock,
    invoice,
    paymentHash,
    context: contextOf(record),
    payTimeoutMs,
    settleTimeoutMs,
    onWaiting,
  };
}

/** Also finds out whether the wallet answers at all, while nothing is written down yet. */
async function findNetwork({ network, wallet }: Till): Promise<Network | undefined> {
  if (network !== undefined || wallet.network === undefined) return network;
  try {
    return await wallet.network();
  } catch (cause) {
    const message = `The wallet can't be asked: ${messageOf(cause)} Nothing was paid.`;
    throw new PaymentError('wallet-failed', message, { cause });
  }
}

async function writeDown(store: TokenStore, record: TokenRecord): Promise<void> {
  try {
    await store.put(record);
  } catch (cause) {
    throw new PaymentError(
      'store-failed',
      `The purchase can't be written down, so nothing was paid: ${messageOf(cause)}`,
      { cause, paymentHash: record.paymentHash, amountMsat: record.amountMsat },
    );
  }
}

function wrongPreimage({ paymentHash, amountMsat }: TokenRecord): PaymentError {
  return new PaymentError(
    'payment-unknown',
    "The wallet says that it paid, but what it returned is not the invoice's preimage. The purchase is written down; " +
      'check the wallet before buying again.',
    { paymentHash, amountMsat },
  );
}

function paymentUnknown({ paymentHash, amountMsat }: TokenRecord, cause?: unknown): PaymentError {
  return new PaymentError(
    'payment-unknown',
    `The wallet can't say yet what became of the payment of ${formatMsat(amountMsat)} (hash ${paymentHash}). It is written ` +
      'down; send the request again later and it goes on from there without paying twice.',
    { paymentHash, amountMsat, cause },
  );
}

function declined({ amountMsat, paymentHash }: Quote): PaymentError {
  const message = `The price of ${formatMsat(amountMsat)} was declined. Nothing was paid.`;
  return new PaymentError('declined', message, { paymentHash, amountMsat });
}

/** The words of an error, for another error's message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
