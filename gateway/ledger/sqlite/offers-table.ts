import type { DatabaseSync } from 'node:sqlite';
import type { OfferBooks, OfferRow } from '../books.ts';
import type { Offer } from '../store.ts';
import { amount, integer, type Row, text } from './row.ts';

const COLUMNS =
  'payment_hash, account_id, service, amount_msat, invoice_expires_at_sec, credit_expires_at_sec, settled';

/** The offer of a row. @throws StoreError `corrupt` */
export function toOffer(row: Row): Offer {
  return {
    paymentHash: text(row, 'payment_hash'),
    accountId: text(row, 'account_id'),
    service: text(row, 'service'),
    amountMsat: amount(row, 'amount_msat'),
    invoiceExpiresAtSec: integer(row, 'invoice_expires_at_sec'),
    creditExpiresAtSec: integer(row, 'credit_expires_at_sec'),
  };
}

/** The same, with whether it is settled. */
export function toStoredOffer(row: Row): OfferRow {
  return { ...toOffer(row), settled: integer(row, 'settled') !== 0 };
}

/** Top-ups asked for. */
export function offersTable(db: DatabaseSync): OfferBooks {
  const find = db.prepare(`SELECT ${COLUMNS} FROM offers WHERE payment_hash = ?`);
  const add = db.prepare(`INSERT INTO offers (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 0)`);
  const settle = db.prepare('UPDATE offers SET settled = 1 WHERE payment_hash = ?');
  const remove = db.prepare('DELETE FROM offers WHERE payment_hash = ?');
  const countPayable = db.prepare(
    'SELECT count(*) AS n FROM offers WHERE account_id = ? AND settled = 0 AND invoice_expires_at_sec > ?',
  );
  const payable = db.prepare(
    `SELECT ${COLUMNS} FROM offers WHERE account_id = ? AND settled = 0 AND invoice_expires_at_sec > ?
       ORDER BY invoice_expires_at_sec DESC LIMIT ?`,
  );
  const open = db.prepare(
    `SELECT ${COLUMNS} FROM offers WHERE settled = 0 AND payment_hash > ? ORDER BY payment_hash LIMIT ?`,
  );
  const forget = db.prepare(
    `DELETE FROM offers WHERE payment_hash IN
       (SELECT payment_hash FROM offers WHERE credit_expires_at_sec <= ? ORDER BY credit_expires_at_sec LIMIT ?)`,
  );
  return {
    offer(paymentHash) {
      const row = find.get(paymentHash);
      return row === undefined ? undefined : toStoredOffer(row);
    },
    addOffer(offer) {
      const ends = [offer.invoiceExpiresAtSec, offer.creditExpiresAtSec];
      add.run(offer.paymentHash, offer.accountId, offer.service, offer.amountMsat, ...ends);
    },
    settleOffer(paymentHash) {
      settle.run(paymentHash);
    },
    removeOffer(paymentHash) {
      remove.run(paymentHash);
    },
    countPayableOffers: (accountId, nowSec) => integer(countPayable.get(accountId, nowSec) ?? {}, 'n'),
    payableOffers: (accountId, nowSec, limit) => payable.all(accountId, nowSec, limit).map(toOffer),
    openOffers: (afterHash, limit) => open.all(afterHash, limit).map(toOffer),
    forgetOffers: (watermarkSec, limit) => Number(forget.run(watermarkSec, limit).changes),
  };
}
