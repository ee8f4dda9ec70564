import { addMsat, type Msat, ZERO_MSAT } from '../node/msat.ts';
import { NodeError } from '../node/node.ts';
import type { AccountReport } from './account-report.ts';
import { AccountError, type PaidAccount } from './account-requests.ts';
import { accountKey } from './account-tokens.ts';
import { messageOf, type Purchase } from './buyer.ts';
import { PaymentError, type PaymentErrorCode } from './errors.ts';
import { creditTopUp, payTopUp, type ToppedUp } from './top-up.ts';
import { type FullRule, type Pace, topUpDueInMs } from './top-up-rule.ts';
import type { Shop } from './visit.ts';

/** What {@link createTopUps} works with. */
export interface TopUpsOptions {
  readonly shop: Shop;
  readonly account: PaidAccount;
  /** Absent: only when asked to. */
  readonly rule: FullRule | undefined;
  /** How much to add at a time, msat. */
  readonly amountMsat: Msat;
  readonly pace: Pace;
  /** What the stream paid before, for the budget of one request. */
  readonly alreadyMsat: Msat;
  /** Asks the gateway, and notes its answer. @throws {@link AccountError} */
  readonly refresh: () => Promise<AccountReport>;
  readonly note: (report: AccountReport) => void;
  /** Aborts when no more shall be begun. */
  readonly signal: AbortSignal;
}

/** What top-ups have come to. */
export interface TopUpTotals {
  readonly count: number;
  /** Paid by this process, msat. */
  readonly paidMsat: Msat;
  readonly feeMsat: Msat;
  /** Added to the account, msat: also what an earlier process had paid. */
  readonly creditedMsat: Msat;
  /** Of a top-up that was begun and whose end is not known, msat; 0 when there is none. If it is paid already, `paidMsat` has it too. */
  readonly pendingMsat: Msat;
}

/** The top-ups of one account, one at a time. */
export interface TopUps {
  /** Pays when the rule asks for it and nothing is under way. Never rejects, does not wait. */
  consider(report: AccountReport): void;
  /** The gateway says that the money is used up, or there again. Only a hint: it is asked before anything is paid. */
  hint(notice: 'exhausted' | 'resumed'): void;
  /** Adds money now, whatever the rule says. @throws {@link PaymentError}, {@link AccountError} */
  add(amountMsat?: Msat): Promise<void>;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
  totals(): TopUpTotals;
  /** Why there are no automatic top-ups any more. */
  failure(): PaymentError | undefined;
}

const MAX_TRIES = 6;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;
/** So many top-ups in a row that raise no balance, and no more are paid: whoever answers is not telling the truth. */
const MAX_IN_VAIN = 3;

/** After these the same may go well a moment later. In none of them is anything paid twice: a doubt is looked up first. */
const PASSING: ReadonlySet<PaymentErrorCode> = new Set([
  'payment-unknown',
  'payment-failed',
  'wallet-failed',
  'invoice-expired',
]);

interface Counter extends TopUpsOptions {
  /** A top-up that was paid and that the gateway has not answered to yet. Nothing more is paid before it has. */
  uncredited: Purchase | undefined;
  /** Payments of this process whose end was not known at first. */
  readonly doubtful: Set<string>;
  inVain: number;
  totals: TopUpTotals;
}

/** Makes the {@link TopUps} of an account. */
export function createTopUps(options: TopUpsOptions): TopUps {
  const totals = {
    count: 0,
    paidMsat: ZERO_MSAT,
    feeMsat: ZERO_MSAT,
    creditedMsat: ZERO_MSAT,
    pendingMsat: ZERO_MSAT,
  };
  const counter: Counter = { ...options, uncredited: undefined, doubtful: new Set(), inVain: 0, totals };
  const { rule, amountMsat, pace, signal, shop } = options;
  let active: Promise<void> | undefined;
  let failure: PaymentError | undefined;
  let isExhausted = false;

  const isNeeded = (report: AccountReport): boolean => {
    if (rule === undefined) return false;
    // What an upstream writes into its stream must not make anybody pay who has enough.
    if (isExhausted && report.balanceMsat < amountMsat) return true;
    // What is paid goes by the gateway's word alone, not by a guess of what was spent since.
    return topUpDueInMs(rule, report, pace, report.atMs) === 0;
  };
  const begin = (work: () => Promise<void>): Promise<void> => {
    const run = exclusively(shop, accountKey(options.account.token), work).finally(() => {
      if (active === run) active = undefined;
    });
    active = run;
    return run;
  };
  const start = (): void => {
    if (rule === undefined || failure !== undefined || active !== undefined || signal.aborted) return;
    const work = async (): Promise<void> => {
      failure = await fulfil(counter, isNeeded);
      isExhausted = false;
    };
    begin(work).catch(() => undefined);
  };

  return {
    consider: (report) => {
      if (isNeeded(report)) start();
    },
    hint: (notice) => {
      isExhausted = notice === 'exhausted';
      if (isExhausted) start();
    },
    add: async (wantedMsat = amountMsat) => {
      await active?.catch(() => undefined);
      await begin(async () => addOnce(counter, wantedMsat, await counter.refresh()));
      failure = undefined;
    },
    settled: async () => {
      await active?.catch(() => undefined);
    },
    totals: () => counter.totals,
    failure: () => failure,
  };
}

/** One top-up of an account at a time in this process: parallel streams of it find it topped up when their turn comes. */
async function exclusively(shop: Shop, key: string, work: () => Promise<void>): Promise<void> {
  for (let other = shop.topUps.get(key); other !== undefined; other = shop.topUps.get(key)) {
    await other.catch(() => undefined);
  }
  const run = work().finally(() => shop.topUps.delete(key));
  shop.topUps.set(key, run);
  return run;
}

/** Tops up once, if the gateway itself says that it is needed, and tries again what may pass. @returns why it gives up */
async function fulfil(
  counter: Counter,
  isNeeded: (report: AccountReport) => boolean,
): Promise<PaymentError | undefined> {
  const { shop, signal, amountMsat } = counter;
  for (let tries = 1, pauseMs = FIRST_PAUSE_MS; ; tries += 1) {
    try {
      if (counter.uncredited !== undefined) await credit(counter, counter.uncredited);
      // What was heard may be older than the last top-up; what is asked for now is not.
      const report = await counter.refresh();
      if (signal.aborted || !isNeeded(report)) return undefined;
      await addOnce(counter, amountMsat, report);
      return undefined;
    } catch (error) {
      const failure = toFailure(error);
      const again = isPassing(error) && tries < MAX_TRIES && !signal.aborted;
      shop.emit({ type: 'top-up-failed', code: failure.code, message: failure.message, again });
      if (!again) return failure;
      const retryAfterMs = error instanceof AccountError ? error.retryAfterMs : undefined;
      await shop.clock.sleep(Math.max(pauseMs, retryAfterMs ?? 0), signal);
      if (signal.aborted) return undefined;
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }
}

async function addOnce(counter: Counter, amountMsat: Msat, before: AccountReport): Promise<void> {
  const { shop, account, alreadyMsat, totals } = counter;
  if (counter.uncredited !== undefined) return credit(counter, counter.uncredited);
  shop.emit({ type: 'topping-up', amountMsat, balanceMsat: before.balanceMsat });
  counter.totals = { ...totals, pendingMsat: amountMsat };
  const spentMsat = addMsat(alreadyMsat, totals.paidMsat, totals.feeMsat);
  const paying = payTopUp(shop, account, amountMsat, spentMsat, (purchase) => count(counter, purchase));
  const result = await paying.catch((error: unknown) => {
    const isDoubtful = error instanceof PaymentError && error.code === 'payment-unknown';
    if (isDoubtful && error.paymentHash !== undefined) counter.doubtful.add(error.paymentHash);
    const isOver = !isDoubtful && counter.uncredited === undefined;
    if (isOver) counter.totals = { ...counter.totals, pendingMsat: ZERO_MSAT };
    throw error;
  });
  conclude(counter, result);
  counter.inVain = result.report.balanceMsat > before.balanceMsat ? 0 : counter.inVain + 1;
  if (counter.inVain < MAX_IN_VAIN) return;
  throw new PaymentError(
    'paid-but-refused',
    `The last ${MAX_IN_VAIN} top-ups were paid and did not raise the balance; no more are paid. Their tokens are kept.`,
  );
}

async function credit(counter: Counter, purchase: Purchase): Promise<void> {
  conclude(counter, await creditTopUp(counter.shop, counter.account, purchase));
}

/** The money is gone, whatever comes next. */
function count(counter: Counter, purchase: Purchase): void {
  counter.uncredited = purchase;
  // What an earlier process paid costs this one nothing.
  if (purchase.recovered && !counter.doubtful.has(purchase.token.paymentHash)) return;
  const { paidMsat, feeMsat } = counter.totals;
  counter.totals = {
    ...counter.totals,
    paidMsat: addMsat(paidMsat, purchase.amountMsat),
    feeMsat: addMsat(feeMsat, purchase.feeMsat),
  };
}

function conclude(counter: Counter, { amountMsat, report }: ToppedUp): void {
  const { count, creditedMsat } = counter.totals;
  counter.uncredited = undefined;
  counter.totals = {
    ...counter.totals,
    count: count + 1,
    creditedMsat: addMsat(creditedMsat, amountMsat),
    pendingMsat: ZERO_MSAT,
  };
  counter.note(report);
}

function isPassing(error: unknown): boolean {
  if (error instanceof AccountError) return error.kind === 'unavailable';
  return error instanceof PaymentError ? PASSING.has(error.code) : error instanceof NodeError;
}

function toFailure(error: unknown): PaymentError {
  if (error instanceof PaymentError) return error;
  return new PaymentError('top-up-refused', `The account could not be topped up: ${messageOf(error)}`, {
    cause: error,
  });
}
