import type { SQLOutputValue } from 'node:sqlite';
import { type Msat, msat } from '../../../node/msat.ts';
import { StoreError } from '../store.ts';

/**
 * A row as node:sqlite returns it: outside data, until one of the functions here has looked at it. Columns have names, or
 * numbers when the statement returns arrays, which is faster.
 */
export type Row = Record<string, SQLOutputValue>;

/** @throws StoreError `corrupt` when the column holds no integer. */
export function integer(row: Row, column: string | number): number {
  const value = row[column];
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : refuse(column);
}

/** @throws StoreError `corrupt` when the column holds no amount. */
export function amount(row: Row, column: string | number): Msat {
  const value = integer(row, column);
  return value >= 0 ? msat(value) : refuse(column);
}

/** @throws StoreError `corrupt` when the column holds no text. */
export function text(row: Row, column: string | number): string {
  const value = row[column];
  return typeof value === 'string' ? value : refuse(column);
}

function refuse(column: string | number): never {
  throw new StoreError(
    'corrupt',
    `The store is damaged: column ${column} holds something else than was written.`,
  );
}
