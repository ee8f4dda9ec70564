import { StoreError } from '../store.ts';

/*
 * Result codes of SQLite (https://www.sqlite.org/rescode.html), primary in the low byte.
 */
const BUSY = 5;
const LOCKED = 6;
const CORRUPT = 11;
const NOTADB = 26;

/** The words that an operator can act on, by primary result code. */
const REMEDIES = new Map<number, string>([
  [3, 'its file may not be read or written: check owner and mode'],
  [8, 'its file or folder is read-only: check owner and mode'],
  [5, 'it is locked by another process'],
  [6, 'it is locked by another process'],
  [10, 'the disk failed or has no room'],
  [13, 'the disk is full: make room'],
  [14, 'its file or folder can not be opened: check that the folder exists and may be written'],
]);

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & 0xff;
}

/** True when another connection holds the lock: nothing happened, and trying again may help. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === BUSY || code === LOCKED;
}

/** Whatever failed, as the only error that a store rejects with. */
export function toStoreError(error: unknown, file: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = resultCode(error);
  if (code === CORRUPT || code === NOTADB) {
    return new StoreError(
      'corrupt',
      `${file} is damaged or not a SQLite database. Restore a copy and run \`sluice store new-generation\`, or configure another file.`,
      { cause: error },
    );
  }
  const remedy = code === undefined ? 'it failed in an unexpected way' : REMEDIES.get(code);
  return new StoreError(
    'unavailable',
    `The store at ${file} did not answer: ${remedy ?? `SQLite error ${code}`}.`,
    {
      cause: error,
    },
  );
}
