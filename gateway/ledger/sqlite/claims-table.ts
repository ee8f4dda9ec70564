import type { DatabaseSync } from 'node:sqlite';
import type { ClaimBooks } from '../books.ts';
import type { Claim } from '../store.ts';
import { amount, integer, type Row, text } from './row.ts';

/** The claim of a row. @throws StoreError `corrupt` */
export function toClaim(row: Row): Claim {
  return {
    paymentHash: text(row, 'payment_hash'),
    accountId: text(row, 'account_id'),
    service: text(row, 'service'),
    creditMsat: amount(row, 'credit_msat'),
    expiresAtSec: integer(row, 'expires_at_sec'),
  };
}

/** Claims and credits. */
export function claimsTable(db: DatabaseSync): ClaimBooks {
  const claim = db.prepare(
    'SELECT payment_hash, account_id, service, credit_msat, expires_at_sec FROM claims WHERE payment_hash = ?',
  );
  const addClaim = db.prepare(
    'INSERT INTO claims (payment_hash, account_id, service, credit_msat, expires_at_sec) VALUES (?, ?, ?, ?, ?)',
  );
  const credit = db.prepare('SELECT 1 FROM credits WHERE credit_key = ?');
  const creditAmount = db.prepare('SELECT amount_msat FROM credits WHERE credit_key = ?');
  const addCredit = db.prepare(
    'INSERT INTO credits (credit_key, account_id, amount_msat, expires_at_sec) VALUES (?, ?, ?, ?)',
  );
  const forgetClaims = db.prepare(
    `DELETE FROM claims WHERE payment_hash IN
       (SELECT payment_hash FROM claims WHERE expires_at_sec <= ? ORDER BY expires_at_sec LIMIT ?)`,
  );
  const forgetCredits = db.prepare(
    `DELETE FROM credits WHERE credit_key IN
       (SELECT credit_key FROM credits WHERE expires_at_sec <= ? ORDER BY expires_at_sec LIMIT ?)`,
  );
  return {
    claim(paymentHash) {
      const row = claim.get(paymentHash);
      return row === undefined ? undefined : toClaim(row);
    },
    addClaim(asked) {
      addClaim.run(asked.paymentHash, asked.accountId, asked.service, asked.creditMsat, asked.expiresAtSec);
    },
    hasCredit: (creditKey) => credit.get(creditKey) !== undefined,
    creditedMsat(creditKey) {
      const row = creditAmount.get(creditKey);
      return row === undefined ? undefined : amount(row, 'amount_msat');
    },
    addCredit(asked) {
      addCredit.run(asked.creditKey, asked.accountId, asked.amountMsat, asked.expiresAtSec);
    },
    forgetClaims: (watermarkSec, limit) => Number(forgetClaims.run(watermarkSec, limit).changes),
    forgetCredits: (watermarkSec, limit) => Number(forgetCredits.run(watermarkSec, limit).changes),
  };
}
