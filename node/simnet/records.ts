import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import { type Msat, msat } from '../msat.ts';
import { transaction } from './file.ts';
import type { Page, SignedInvoice, SimnetPayment, WalletFunds } from './types.ts';

type Row = Record<string, SQLOutputValue>;

/** A wallet as it is stored. */
export interface WalletRecord {
  readonly name: string;
  readonly privateKey: Buffer;
  readonly macaroon: string;
  readonly nextAddIndex: number;
}

/** What changes hands when an invoice is paid. */
export interface SettlementRecord {
  readonly invoice: SignedInvoice;
  readonly preimage: string;
  readonly settledSec: number;
  readonly payment: SimnetPayment;
}

/** Everything that outlives the process, and the only code that moves money. */
export interface Records {
  wallets(): readonly WalletRecord[];
  addWallet(wallet: WalletRecord, funds: WalletFunds): void;
  funds(wallet: string): WalletFunds;
  settleIndex(wallet: string): number;
  /** Add indexes below this are used up: they must never come again after a restart. */
  reserveAddIndexes(wallet: string, nextAddIndex: number): void;
  settled(paymentHash: string): SignedInvoice | undefined;
  settledAfter(wallet: string, settleIndex: number, limit: number): readonly SignedInvoice[];
  settledPage(wallet: string, page: Page): readonly SignedInvoice[];
  /**
   * Debits the payer, credits the receiver, records both: one transaction, on disk when it returns.
   * `undefined`, and nothing moved, when the payer lacks balance or the receiver inbound liquidity.
   */
  settle(settlement: SettlementRecord): SignedInvoice | undefined;
  nextPaymentIndex(wallet: string): number;
  addFailed(payment: SimnetPayment): void;
  payment(wallet: string, paymentHash: string): SimnetPayment | undefined;
  payments(wallet: string, page: Page): readonly SimnetPayment[];
  close(): void;
}

/** Thrown inside the transaction to undo it. */
class CannotMove extends Error {}

/** Opens the records in a database made by `openSimnetFile`. */
export function createRecords(database: DatabaseSync): Records {
  const statements = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const sql = (text: string) => {
    const known = statements.get(text) ?? database.prepare(text);
    statements.set(text, known);
    return known;
  };
  const all = (text: string, ...values: SQLInputValue[]): Row[] => sql(text).all(...values);
  const get = (text: string, ...values: SQLInputValue[]): Row | undefined => sql(text).get(...values);
  const run = (text: string, ...values: SQLInputValue[]) => Number(sql(text).run(...values).changes);
  const walletRow = (name: string): Row => get('SELECT * FROM wallets WHERE name = ?', name) ?? {};

  const move = ({ invoice, preimage, settledSec, payment }: SettlementRecord): SignedInvoice => {
    const out = payment.amountMsat + payment.feeMsat;
    const debit =
      'UPDATE wallets SET balance_msat = balance_msat - ?1, inbound_msat = inbound_msat + ?1 WHERE name = ?2 AND balance_msat >= ?1';
    if (run(debit, out, payment.wallet) !== 1) throw new CannotMove();
    const credit =
      'UPDATE wallets SET balance_msat = balance_msat + ?1, inbound_msat = inbound_msat - ?1, settle_index = settle_index + 1 WHERE name = ?2 AND inbound_msat >= ?1';
    if (run(credit, payment.amountMsat, invoice.wallet) !== 1) throw new CannotMove();
    const settleIndex = whole(walletRow(invoice.wallet), 'settle_index');
    const settled: SignedInvoice = {
      ...invoice,
      state: 'settled',
      preimage,
      settleIndex,
      paidMsat: payment.amountMsat,
      settledSec,
    };
    // The primary key is the payment hash: an invoice can't settle twice.
    run(INSERT_SETTLED, ...settledValues(settled, preimage));
    run(INSERT_PAYMENT, ...paymentValues({ ...payment, state: 'succeeded', preimage }));
    return settled;
  };

  return {
    wallets: () => all('SELECT * FROM wallets').map(toWallet),
    addWallet(wallet, funds) {
      run(
        'INSERT INTO wallets (name, private_key, macaroon, balance_msat, inbound_msat) VALUES (?, ?, ?, ?, ?)',
        wallet.name,
        wallet.privateKey,
        wallet.macaroon,
        funds.balanceMsat,
        funds.inboundMsat,
      );
    },
    funds(wallet) {
      const row = walletRow(wallet);
      return { balanceMsat: money(row, 'balance_msat'), inboundMsat: money(row, 'inbound_msat') };
    },
    settleIndex: (wallet) => whole(walletRow(wallet), 'settle_index'),
    reserveAddIndexes(wallet, nextAddIndex) {
      run('UPDATE wallets SET next_add_index = ? WHERE name = ?', nextAddIndex, wallet);
    },
    settled(paymentHash) {
      const row = get('SELECT * FROM settled WHERE payment_hash = ?', paymentHash);
      return row && toSettled(row);
    },
    settledAfter(wallet, settleIndex, limit) {
      const text =
        'SELECT * FROM settled WHERE wallet = ? AND settle_index > ? ORDER BY settle_index LIMIT ?';
      return all(text, wallet, settleIndex, limit).map(toSettled);
    },
    settledPage(wallet, page) {
      const rows = all(pageSql('settled', 'add_index', page), wallet, ...pageValues(page));
      return inOrder(rows, page).map(toSettled);
    },
    settle(settlement) {
      try {
        return transaction(database, () => move(settlement));
      } catch (error) {
        if (error instanceof CannotMove) return undefined;
        throw error;
      }
    },
    nextPaymentIndex(wallet) {
      run('UPDATE wallets SET payment_index = payment_index + 1 WHERE name = ?', wallet);
      return whole(walletRow(wallet), 'payment_index');
    },
    addFailed: (payment) => void run(INSERT_PAYMENT, ...paymentValues({ ...payment, state: 'failed' })),
    payment(wallet, paymentHash) {
      const row = get('SELECT * FROM payments WHERE wallet = ? AND payment_hash = ?', wallet, paymentHash);
      return row && toPayment(row);
    },
    payments(wallet, page) {
      const rows = all(pageSql('payments', 'payment_index', page), wallet, ...pageValues(page));
      return inOrder(rows, page).map(toPayment);
    },
    close: () => database.close(),
  };
}

const INSERT_SETTLED = `INSERT INTO settled (payment_hash, wallet, settle_index, add_index, preimage, payment_secret, bolt11,
  memo, description_hash, amount_msat, paid_msat, created_sec, expiry_sec, settled_sec)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

// A failed payment may be tried again: the last attempt is what counts. One that succeeded is never replaced.
const INSERT_PAYMENT = `INSERT INTO payments (wallet, payment_hash, payment_index, bolt11, memo, amount_msat, fee_msat,
  created_ms, state, preimage, failure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (wallet, payment_hash) DO UPDATE SET payment_index = excluded.payment_index, bolt11 = excluded.bolt11,
  memo = excluded.memo, amount_msat = excluded.amount_msat, fee_msat = excluded.fee_msat, created_ms = excluded.created_ms,
  state = excluded.state, preimage = excluded.preimage, failure = excluded.failure WHERE state = 'failed'`;

function settledValues(invoice: SignedInvoice, preimage: string): SQLInputValue[] {
  return [
    invoice.paymentHash,
    invoice.wallet,
    invoice.settleIndex,
    invoice.addIndex,
    preimage,
    invoice.paymentSecret,
    invoice.bolt11,
    invoice.memo,
    invoice.descriptionHash ?? null,
    invoice.amountMsat,
    invoice.paidMsat,
    invoice.createdSec,
    invoice.expirySec,
    invoice.settledSec,
  ];
}

function paymentValues(payment: SimnetPayment): SQLInputValue[] {
  return [
    payment.wallet,
    payment.paymentHash,
    payment.index,
    payment.bolt11,
    payment.memo,
    payment.amountMsat,
    payment.feeMsat,
    payment.createdMs,
    payment.state,
    payment.preimage ?? null,
    payment.failure,
  ];
}

function pageSql(table: 'settled' | 'payments', index: 'add_index' | 'payment_index', page: Page): string {
  const [test, direction] = page.order === 'forwards' ? ['>', 'ASC'] : ['<', 'DESC'];
  return `SELECT * FROM ${table} WHERE wallet = ? AND ${index} ${test} ? ORDER BY ${index} ${direction} LIMIT ?`;
}

function pageValues(page: Page): [number, number] {
  const fromTheEnd = page.order === 'backwards' && page.offset === 0;
  return [fromTheEnd ? Number.MAX_SAFE_INTEGER : page.offset, page.limit];
}

function inOrder(rows: Row[], page: Page): Row[] {
  return page.order === 'forwards' ? rows : rows.reverse();
}

function toWallet(row: Row): WalletRecord {
  return {
    name: text(row, 'name'),
    privateKey: bytes(row, 'private_key'),
    macaroon: text(row, 'macaroon'),
    nextAddIndex: whole(row, 'next_add_index'),
  };
}

function toSettled(row: Row): SignedInvoice {
  const descriptionHash = textOrNull(row, 'description_hash');
  return {
    wallet: text(row, 'wallet'),
    addIndex: whole(row, 'add_index'),
    settleIndex: whole(row, 'settle_index'),
    paymentHash: text(row, 'payment_hash'),
    amountMsat: money(row, 'amount_msat'),
    memo: text(row, 'memo'),
    ...(descriptionHash === null ? {} : { descriptionHash }),
    createdSec: whole(row, 'created_sec'),
    expirySec: whole(row, 'expiry_sec'),
    state: 'settled',
    preimage: text(row, 'preimage'),
    paidMsat: money(row, 'paid_msat'),
    settledSec: whole(row, 'settled_sec'),
    bolt11: text(row, 'bolt11'),
    paymentSecret: text(row, 'payment_secret'),
  };
}

function toPayment(row: Row): SimnetPayment {
  const preimage = textOrNull(row, 'preimage');
  const failure = text(row, 'failure');
  return {
    wallet: text(row, 'wallet'),
    index: whole(row, 'payment_index'),
    paymentHash: text(row, 'payment_hash'),
    bolt11: text(row, 'bolt11'),
    memo: text(row, 'memo'),
    amountMsat: money(row, 'amount_msat'),
    feeMsat: money(row, 'fee_msat'),
    createdMs: whole(row, 'created_ms'),
    state: text(row, 'state') === 'succeeded' ? 'succeeded' : 'failed',
    ...(preimage === null ? {} : { preimage }),
    failure: failure as SimnetPayment['failure'],
  };
}

function textOrNull(row: Row, column: string): string | null {
  const value = row[column];
  return typeof value === 'string' ? value : null;
}

function text(row: Row, column: string): string {
  const value = textOrNull(row, column);
  if (value === null) throw new TypeError(`column ${column} is not a text`);
  return value;
}

function bytes(row: Row, column: string): Buffer {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new TypeError(`column ${column} is not a blob`);
  return Buffer.from(value);
}

function whole(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`column ${column} is not a number`);
  return value;
}

function money(row: Row, column: string): Msat {
  return msat(whole(row, column));
}
