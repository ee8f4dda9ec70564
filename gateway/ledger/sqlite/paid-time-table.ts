import type { DatabaseSync } from 'node:sqlite';
import { NOTHING_PAID, type SharedTimeBooks } from '../books.ts';
import { type Span, StoreError } from '../store.ts';
import { integer, text } from './row.ts';

/** Time that leases have paid for together. */
export function paidTimeTable(db: DatabaseSync): SharedTimeBooks {
  const find = db.prepare(
    'SELECT spans, rest_millionths FROM paid_time WHERE account_ref = ? AND key = ? AND forget_at_sec > ?',
  );
  const save = db.prepare(
    `INSERT INTO paid_time (account_ref, key, spans, rest_millionths, forget_at_sec) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET spans = excluded.spans, rest_millionths = excluded.rest_millionths,
         forget_at_sec = excluded.forget_at_sec`,
  );
  const forget = db.prepare(
    `DELETE FROM paid_time WHERE (account_ref, key) IN
       (SELECT account_ref, key FROM paid_time WHERE forget_at_sec <= ? ORDER BY forget_at_sec LIMIT ?)`,
  );
  return {
    paidTime(accountRef, key, nowSec) {
      const row = find.get(accountRef, key, nowSec);
      if (row === undefined) return NOTHING_PAID;
      return { spans: parseSpans(text(row, 'spans')), restMillionths: integer(row, 'rest_millionths') };
    },
    savePaidTime(accountRef, key, { spans, restMillionths }, forgetAtSec) {
      save.run(accountRef, key, spans.flat().join(' '), restMillionths, forgetAtSec);
    },
    forgetPaidTime: (nowSec, limit) => Number(forget.run(nowSec, limit).changes),
  };
}

function parseSpans(written: string): readonly Span[] {
  const spans: Span[] = [];
  const numbers = written.split(' ').map(Number);
  for (let at = 0; at < numbers.length; at += 2) {
    const [fromMs, toMs] = numbers.slice(at, at + 2);
    if (!Number.isSafeInteger(fromMs) || !Number.isSafeInteger(toMs)) {
      throw new StoreError('corrupt', 'The store holds paid time that can not be read.');
    }
    spans.push([fromMs ?? 0, toMs ?? 0]);
  }
  return spans;
}
