import { addMsat, formatMsat, type Msat, maxMsat, msat, sats } from '../node/msat.ts';
import type { Network, PaymentState } from '../node/node.ts';
import type { Budget, Reservation } from './budget.ts';
import type { Clock } from './clock.ts';
import { PaymentError } from './errors.ts';
import type { PaymentEvent, Quote } from './events.ts';
import { type PaymentTask, payToEnd, waitForEnd } from './pay-to-end.ts';
import { checkPayable, type Offer } from './read-offer.ts';
import { scopeOf, type TokenRecord, type TokenStore } from './token-store.ts';
import type { PaymentContext, Wallet } from './wallet.ts';

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
   * @throws {@link PaymentError} `payment-unknown`
   */
  resume(record: TokenRecord): Promise<Purchase | undefined>;
  /** A purchase of this buyer is under way for that payment hash. */
  isBuying(paymentHash: string): boolean;
}

/** Up to 3 % of the price, and 5 sat for a small one: routes cost a base fee, whatever the amount. */
export function defaultMaxFeeMsat(amountMsat: Msat): Msat {
  return maxMsat(sats(5), msat(Math.ceil(amountMsat * 0.03)));
}

/** Makes a {@link Buyer}. */
export function createBuyer(options: BuyerOptions): Buyer {
  const { wallet, budget, store, clock, emit } = options;
  const buying = new Set<string>();
  /** Money of payments whose end is not known stays set aside. */
  const held = new Map<string, Reservation>();
  let network: Promise<Network> | undefined;

  const findNetwork = async (): Promise<Network | undefined> => {
    if (options.network !== undefined || wallet.network === undefined) return options.network;
    network ??= wallet.network();
    try {
      return await network;
    } catch (cause) {
      network = undefined;
      throw new PaymentError(
        'wallet-failed',
        `The wallet can't be asked: ${messageOf(cause)} Nothing was paid.`,
        {
          cause,
        },
      );
    }
  };

  const taskFor = (record: TokenRecord): PaymentTask => ({
    wallet,
    clock,
    invoice: record.invoice,
    paymentHash: record.paymentHash,
    context: contextOf(record),
    payTimeoutMs: options.payTimeoutMs,
    settleTimeoutMs: options.settleTimeoutMs,
    onWaiting: () => emit({ type: 'waiting', paymentHash: record.paymentHash }),
  });

  const forget = (record: TokenRecord): Promise<void> =>
    store
      .update(record.paymentHash, (other) => (other.state.kind === 'pending' ? undefined : other))
      .catch((error: unknown) => emit({ type: 'store-failed', message: messageOf(error) }));

  /** Turns the end of a payment into a token or an error, and settles the money that was set aside. */
  const conclude = async (
    record: TokenRecord,
    end: PaymentState,
    reservation: Reservation | undefined,
    recovered: boolean,
  ): Promise<Purchase> => {
    const { paymentHash, amountMsat } = record;
    if (end.kind === 'in-flight') {
      if (reservation !== undefined) held.set(paymentHash, reservation);
      throw paymentUnknown(record);
    }
    held.delete(paymentHash);
    if (end.kind === 'failed') {
      reservation?.release();
      await forget(record);
      throw new PaymentError('payment-failed', `The payment failed: ${end.reason}. Nothing was paid.`, {
        paymentHash,
        amountMsat,
      });
    }
    // A wallet that does not know what was paid says 0.
    const paidMsat = maxMsat(end.amountMsat, amountMsat);
    reservation?.commit(addMsat(paidMsat, end.feeMsat));
    await checkPreimage(end.preimage, record);
    const token: PaidToken = { ...record, state: { kind: 'ready', preimage: end.preimage.toLowerCase() } };
    // On failure the pending record stays, and a look at the wallet brings the preimage back.
    await store
      .put(token)
      .catch((error: unknown) => emit({ type: 'store-failed', message: messageOf(error) }));
    emit({ type: 'paid', paymentHash, amountMsat: paidMsat, feeMsat: end.feeMsat, recovered });
    return { token, amountMsat: paidMsat, feeMsat: end.feeMsat, recovered };
  };

  const pay = async (record: TokenRecord, reservation: Reservation): Promise<Purchase> => {
    const { paymentHash, amountMsat } = record;
    const { maxFeeMsat } = reservation;
    emit({ type: 'paying', paymentHash, amountMsat, maxFeeMsat });
    let end: PaymentState;
    try {
      end = await payToEnd(taskFor(record), maxFeeMsat);
    } catch (error) {
      reservation.release();
      await forget(record);
      throw error;
    }
    return conclude(record, end, reservation, false);
  };

  const whileBuying = async <T>(paymentHash: string, work: () => Promise<T>): Promise<T> => {
    buying.add(paymentHash);
    try {
      return await work();
    } finally {
      buying.delete(paymentHash);
    }
  };

  const buy = async (offer: Offer, alreadyMsat: Msat): Promise<Purchase> => {
    checkPayable(offer, await findNetwork(), clock.nowMs());
    const { amountMsat, paymentHash } = offer.quote;
    const wantedFeeMsat = options.maxFeeMsat(amountMsat);
    const reservation = budget.reserve({ amountMsat, wantedFeeMsat, alreadyMsat });
    const record = toRecord(offer, clock.nowMs());
    try {
      emit({ type: 'quote', ...offer.quote });
      if (options.approve !== undefined && !(await options.approve(offer.quote))) throw declined(offer.quote);
      await writeDown(store, record);
    } catch (error) {
      reservation.release();
      throw error;
    }
    return whileBuying(paymentHash, () => pay(record, reservation));
  };

  const resume = async (record: TokenRecord): Promise<Purchase | undefined> => {
    let state: PaymentState | undefined;
    try {
      state = await wallet.lookupPayment(record.paymentHash, contextOf(record));
    } catch (cause) {
      throw paymentUnknown(record, cause);
    }
    if (state === undefined) {
      // The process ended between writing it down and paying, or the wallet has not got it yet: while the invoice can
      // be paid, nothing else may be bought in its place.
      if (clock.nowMs() / 1000 <= record.invoiceExpiresAtSec) return payAgain(record);
      await forget(record);
      return undefined;
    }
    const end = state.kind === 'in-flight' ? await waitForEnd(taskFor(record)) : state;
    if (end.kind === 'failed') {
      held.get(record.paymentHash)?.release();
      held.delete(record.paymentHash);
      await forget(record);
      return undefined;
    }
    return conclude(record, end, held.get(record.paymentHash), true);
  };

  /** The same invoice: a node pays a payment hash once, however often it is asked. */
  const payAgain = (record: TokenRecord): Promise<Purchase> => {
    const { amountMsat, paymentHash } = record;
    const reservation =
      held.get(paymentHash) ??
      budget.reserve({ amountMsat, wantedFeeMsat: options.maxFeeMsat(amountMsat), alreadyMsat: msat(0) });
    return pay(record, reservation);
  };

  return {
    buy,
    resume: (record) => whileBuying(record.paymentHash, () => resume(record)),
    isBuying: (paymentHash) => buying.has(paymentHash),
  };
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

function toRecord({ challenge, terms, url, quote }: Offer, nowMs: number): TokenRecord {
  return {
    paymentHash: quote.paymentHash,
    origin: url.origin,
    service: quote.service,
    scopes: [scopeOf(url.pathname)],
    scheme: challenge.scheme,
    macaroon: challenge.macaroon,
    invoice: challenge.invoice,
    amountMsat: quote.amountMsat,
    invoiceExpiresAtSec: quote.expiresAtSec,
    ...(terms.validUntilSec === undefined ? {} : { validUntilSec: terms.validUntilSec }),
    createdAtMs: nowMs,
    state: { kind: 'pending' },
  };
}

function contextOf({ origin, macaroon }: TokenRecord): PaymentContext {
  return { origin, macaroon };
}

/** A wallet that answers with a preimage of something else would have the server refuse the token for no visible reason. */
async function checkPreimage(preimage: string, { paymentHash, amountMsat }: TokenRecord): Promise<void> {
  const bytes = Uint8Array.from(preimage.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const wellFormed = /^[0-9a-f]{64}$/i.test(preimage);
  // Pages that are not served over HTTPS have no WebCrypto; there the server's word must do.
  const digest = wellFormed ? await globalThis.crypto.subtle?.digest('SHA-256', bytes) : new ArrayBuffer(0);
  if (digest === undefined || toHex(digest) === paymentHash) return;
  throw new PaymentError(
    'payment-unknown',
    "The wallet says that it paid, but what it returned is not the invoice's preimage. The purchase is written down; " +
      'check the wallet before buying again.',
    { paymentHash, amountMsat },
  );
}

function toHex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function paymentUnknown(record: TokenRecord, cause?: unknown): PaymentError {
  const { paymentHash, amountMsat } = record;
  return new PaymentError(
    'payment-unknown',
    `The wallet can't say yet what became of the payment of ${formatMsat(amountMsat)} (hash ${paymentHash}). It is written ` +
      'down; send the request again later and it goes on from there without paying twice.',
    { paymentHash, amountMsat, cause },
  );
}

function declined(quote: Quote): PaymentError {
  return new PaymentError(
    'declined',
    `The price of ${formatMsat(quote.amountMsat)} was declined. Nothing was paid.`,
    {
      paymentHash: quote.paymentHash,
      amountMsat: quote.amountMsat,
    },
  );
}

/** The words of an error, for another error's message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
