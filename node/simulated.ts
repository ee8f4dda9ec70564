import { decodeInvoice } from './bolt11.ts';
import { describeFailure } from './lnd/payment-failure.ts';
import { msat } from './msat.ts';
import {
  type HoldInvoices,
  type HoldState,
  type Invoice,
  type InvoiceState,
  type LightningNode,
  NodeError,
  type Payer,
  type PaymentState,
  type PayOptions,
  type SettledPage,
  type SettledQuery,
  type Settlement,
} from './node.ts';
import {
  type SignedInvoice,
  type Simnet,
  type SimnetInvoice,
  type SimnetPayment,
  SimnetRefusal,
  type SimnetWallet,
} from './simnet/types.ts';
import { watchInvoice } from './simnet/watch-invoice.ts';

/** Settlements read from the file at once. */
const BATCH = 100;

/** Bound on {@link Payer.history}. */
const MAX_HISTORY = 10_000;

/** The receiving side of a wallet of the simulated network, in process. Play money. */
export function createSimulatedNode(simnet: Simnet, walletName: string): LightningNode {
  const wallet = simnet.wallet(walletName);
  return {
    capabilities: {
      minInvoiceMsat: msat(1),
      precisionMsat: msat(1),
      cancel: true,
      settlementFeed: true,
      playMoney: true,
    },
    info: async () =>
      ask(simnet, () => ({
        alias: `simnet/${wallet.name}`,
        publicKey: wallet.publicKey,
        network: simnet.network,
        synced: true,
        blockHeight: 1,
      })),
    createInvoice: async (request) =>
      ask(simnet, () => {
        const { amountMsat, memo, expirySec, descriptionHash } = request;
        const described = descriptionHash === undefined ? {} : { descriptionHash };
        return toIssued(wallet.addInvoice({ amountMsat, memo, expirySec, ...described }));
      }),
    lookupInvoice: async (paymentHash) =>
      ask(simnet, () => {
        const invoice = wallet.invoice(paymentHash);
        return invoice && toState(invoice);
      }),
    cancelInvoice: async (paymentHash) =>
      ask(simnet, () => {
        const state = wallet.invoice(paymentHash)?.state;
        if (state === 'open' || state === 'accepted') wallet.cancelInvoice(paymentHash);
      }),
    settlements: (cursor, signal) => feed(simnet, wallet, cursor, signal),
    settledInvoices: async (query) => ask(simnet, () => settledPage(wallet, query)),
    receivable: async () =>
      ask(simnet, () => {
        const inboundMsat = wallet.inboundMsat();
        return {
          inboundMsat,
          largestReceivableMsat: inboundMsat,
          activeChannels: 1,
          inactiveChannels: 0,
          peers: 1,
          blockHeight: 1,
          blockAgeSec: 0,
          synced: true,
        };
      }),
    hold: holdInvoices(simnet, wallet),
    close: async () => {},
  };
}

function holdInvoices(simnet: Simnet, wallet: SimnetWallet): HoldInvoices {
  return {
    create: async (request) => ask(simnet, () => toIssued(wallet.addInvoice(request))),
    lookup: async (paymentHash) =>
      ask(simnet, () => {
        const invoice = wallet.invoice(paymentHash);
        return invoice && toHoldState(invoice);
      }),
    settle: async (preimage) =>
      ask(simnet, () => {
        if (!/^[0-9a-f]{64}$/.test(preimage)) {
          throw new NodeError('rejected', 'A preimage is 64 lower-case hex digits.');
        }
        wallet.settleInvoice(preimage);
      }),
    states: (paymentHash, signal) => holdStates(simnet, wallet, paymentHash, signal),
  };
}

async function* holdStates(
  simnet: Simnet,
  wallet: SimnetWallet,
  paymentHash: string,
  signal: AbortSignal,
): AsyncGenerator<HoldState> {
  const cut = new AbortController();
  const look = () => {
    if (simnet.settings.offline || simnet.closing.aborted) cut.abort();
  };
  look();
  const unlisten = wallet.listen(look);
  try {
    const either = AbortSignal.any([signal, cut.signal]);
    for await (const invoice of watchInvoice(wallet, paymentHash, either)) yield toHoldState(invoice);
    if (cut.signal.aborted && !signal.aborted) throw new NodeError('unreachable', 'The simulated node went.');
  } catch (error) {
    throw asNodeError(error);
  } finally {
    unlisten();
  }
}

/** The paying side of a wallet of the simulated network, in process. */
export function createSimulatedPayer(simnet: Simnet, walletName: string): Payer {
  const wallet = simnet.wallet(walletName);
  return {
    payInvoice: (bolt11, options) => pay(simnet, wallet, bolt11, options),
    lookupPayment: async (paymentHash) =>
      ask(simnet, () => {
        const payment = wallet.payment(paymentHash);
        return payment && toPaymentState(payment);
      }),
    balanceMsat: async () => ask(simnet, () => wallet.balanceMsat()),
    history: async (limit) =>
      ask(simnet, () => {
        const page = { offset: 0, limit: Math.min(limit, MAX_HISTORY), order: 'backwards' } as const;
        return wallet.payments(page).map(toRecord).reverse();
      }),
    close: async () => {},
  };
}

async function pay(
  simnet: Simnet,
  wallet: SimnetWallet,
  bolt11: string,
  options: PayOptions,
): Promise<PaymentState> {
  const { paymentHash } = decodeInvoice(bolt11);
  if (options.signal?.aborted) return { kind: 'failed', reason: 'it was cancelled before it began' };
  const refusal = ask(simnet, () => start(wallet, bolt11, options));
  // Refused perhaps because this wallet has paid it, or is paying it: then that is the outcome, and nothing is paid twice.
  const known = ask(simnet, () => wallet.payment(paymentHash));
  if (refusal !== undefined && (known === undefined || known.state === 'failed')) {
    return { kind: 'failed', reason: refusal.message };
  }
  const final = await within(
    wallet.finalPayment(paymentHash).catch((error) => {
      throw asNodeError(error);
    }),
    options,
  );
  return final === undefined ? { kind: 'in-flight' } : toPaymentState(final);
}

function start(wallet: SimnetWallet, bolt11: string, options: PayOptions): SimnetRefusal | undefined {
  try {
    wallet.pay({ bolt11, maxFeeMsat: options.maxFeeMsat });
    return undefined;
  } catch (error) {
    if (error instanceof SimnetRefusal) return error;
    throw error;
  }
}

/** What the promise gives, or `undefined` when the time is over or the signal aborts first. */
async function within<T>(promise: Promise<T>, options: PayOptions): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const stop = () => resolve(undefined);
  const timer = setTimeout(stop, options.timeoutMs);
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
  }
}

async function* feed(
  simnet: Simnet,
  wallet: SimnetWallet,
  cursor: number,
  signal: AbortSignal,
): AsyncGenerator<Settlement> {
  let wake = Promise.withResolvers<void>();
  const ring = () => wake.resolve();
  // Before the first read, so that what settles between a read and the wait is not slept through.
  const unlisten = wallet.listen((event) => event.kind !== 'added' && ring());
  signal.addEventListener('abort', ring, { once: true });
  let last = cursor;
  try {
    while (!signal.aborted) {
      wake = Promise.withResolvers<void>();
      const batch = ask(simnet, () => wallet.settledAfter(last, BATCH));
      for (const invoice of batch) {
        last = invoice.settleIndex;
        yield toSettlement(invoice);
        if (signal.aborted) return;
      }
      if (batch.length === 0) await wake.promise;
    }
  } finally {
    unlisten();
    signal.removeEventListener('abort', ring);
  }
}

function settledPage(wallet: SimnetWallet, { createdFromSec, before, limit }: SettledQuery): SettledPage {
  const page = wallet.invoices({ offset: before, limit: Math.min(limit, MAX_HISTORY), order: 'backwards' });
  const inRange = page.filter(({ createdSec }) => createdSec >= createdFromSec);
  const next = page.length > inRange.length ? undefined : page[0]?.addIndex;
  return {
    invoices: inRange
      .filter(({ state }) => state === 'settled')
      .map(({ paymentHash, memo, paidMsat, createdSec, expirySec, settledSec }) => ({
        paymentHash,
        memo,
        paidMsat,
        createdAtSec: createdSec,
        expiresAtSec: createdSec + expirySec,
        settledAtSec: settledSec,
      })),
    ...(next === undefined || next <= 1 ? {} : { next }),
  };
}

/** Does work on the network, which answers like a port where nothing listens while it is set `offline`. */
function ask<T>(simnet: Simnet, work: () => T): T {
  if (simnet.settings.offline) throw new NodeError('unreachable', 'The simulated node is set offline.');
  try {
    return work();
  } catch (error) {
    throw asNodeError(error);
  }
}

function asNodeError(error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  if (error instanceof SimnetRefusal) return new NodeError('rejected', `The node refused: ${error.message}.`);
  return new NodeError('unreachable', 'The simulated network is closed or its file failed.', {
    cause: error,
  });
}

function toIssued({ bolt11, paymentHash, amountMsat, createdSec, expirySec }: SignedInvoice): Invoice {
  return { bolt11, paymentHash, amountMsat, expiresAtSec: createdSec + expirySec };
}

function toHoldState(invoice: SimnetInvoice): HoldState {
  return invoice.state === 'accepted' ? { kind: 'accepted', paidMsat: invoice.paidMsat } : toState(invoice);
}

function toState(invoice: SimnetInvoice): InvoiceState {
  if (invoice.state === 'accepted') return { kind: 'open' };
  if (invoice.state !== 'settled') return { kind: invoice.state };
  const { preimage, paidMsat, settledAtSec } = toSettlement(invoice);
  return { kind: 'settled', preimage, paidMsat, settledAtSec };
}

function toSettlement(invoice: SimnetInvoice): Settlement {
  return {
    cursor: invoice.settleIndex,
    paymentHash: invoice.paymentHash,
    preimage: invoice.preimage ?? '',
    invoiceMsat: invoice.amountMsat,
    paidMsat: invoice.paidMsat,
    settledAtSec: invoice.settledSec,
  };
}

function toPaymentState(payment: SimnetPayment): PaymentState {
  if (payment.state === 'in-flight') return { kind: 'in-flight' };
  if (payment.preimage === undefined) return { kind: 'failed', reason: describeFailure(payment.failure) };
  return {
    kind: 'succeeded',
    preimage: payment.preimage,
    amountMsat: payment.amountMsat,
    feeMsat: payment.feeMsat,
  };
}

function toRecord(payment: SimnetPayment) {
  return {
    paymentHash: payment.paymentHash,
    amountMsat: payment.amountMsat,
    feeMsat: payment.feeMsat,
    memo: payment.memo,
    createdAtSec: Math.floor(payment.createdMs / 1000),
    state: payment.state,
  };
}
