import { randomBytes } from 'node:crypto';
import type { Books, Counter } from '../books.ts';
import type { KeyAdmission } from '../store.ts';

/** A generation that no store had before: 16 random bytes, hex. */
export function randomGeneration(): string {
  return randomBytes(16).toString('hex');
}

/** Rule of {@link Store.newGeneration}. */
export function newGeneration(books: Books): string {
  const generation = randomGeneration();
  books.setGeneration(generation);
  books.clearKeyFingerprints();
  // No credential of before is good for anything, so that none can be presented again behind a lower watermark.
  books.setCounter('clock', 0);
  books.setCounter('watermark', 0);
  return generation;
}

/** Rule of {@link Store.admitMasterKeys}. */
export function admitMasterKeys(books: Books, fingerprints: readonly string[]): KeyAdmission {
  const known = new Set(books.keyFingerprints());
  if (known.size > 0 && !fingerprints.some((fingerprint) => known.has(fingerprint)))
    return { kind: 'unknown' };
  for (const fingerprint of new Set(fingerprints)) {
    if (!known.has(fingerprint)) books.addKeyFingerprint(fingerprint);
  }
  return { kind: known.size === 0 ? 'first' : 'known' };
}

/** Raises a counter by one and returns it. */
export function increment(books: Books, name: Counter): number {
  const value = books.counter(name) + 1;
  books.setCounter(name, value);
  return value;
}

/** Sets a counter to `value` unless it is there or beyond. */
export function raise(books: Books, name: Counter, value: number): void {
  if (value > books.counter(name)) books.setCounter(name, value);
}

/** Rule of {@link Store.revoke}. */
export function revoke(books: Books, accountId: string, untilSec: number): void {
  const known = books.revocation(accountId);
  if (known !== undefined && known.untilSec >= untilSec) return;
  // A longer one takes a new number, so that every gateway hears of it.
  books.saveRevocation({ accountId, untilSec, sequence: increment(books, 'revocation-sequence') });
  const row = books.account(accountId);
  if (row === undefined || row.revoked) return;
  row.revoked = true;
  books.saveAccount(row);
}
