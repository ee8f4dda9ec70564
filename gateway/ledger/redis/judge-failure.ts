import { StoreError } from '../store.ts';
import { toStoreError } from './failure.ts';
import { mismatchOf } from './proofs.ts';

const MISMATCHES = {
  empty: 'has lost its data, or a part of it',
  generation: 'has another generation',
  older: 'is an older copy',
} as const;

/** What Redis says when a key holds something else than the store wrote; `user_script`: a script of ours stumbled over it. */
const DAMAGE = /\bWRONGTYPE\b|\bDAMAGED\b|user_script:\d+: (?!.*\b(OOM|READONLY|MISCONF|NOREPLICAS)\b)/;

/**
 * What a command failed with, as the only error that a store rejects with. Never with the error itself as its cause: it carries the
 * arguments of the command.
 */
export function judgeFailure(error: unknown, name: string): StoreError {
  const why = mismatchOf(error);
  if (why !== undefined) return mismatch(name, why);
  if (!(error instanceof StoreError) && error instanceof Error && DAMAGE.test(error.message)) {
    return damaged(name);
  }
  return toStoreError(error, name);
}

/** The store is not the one that was opened, any more. */
export function mismatch(name: string, why: keyof typeof MISMATCHES): StoreError {
  const copy = why === 'older' ? ' (or `sluice store accept-copy`, which keeps it and takes the loss)' : '';
  return new StoreError(
    'mismatch',
    `The store at ${name} is not the one that this gateway knows: it ${MISMATCHES[why]}. Bring back the right one, or accept ` +
      `this one with \`sluice store new-generation\`: credit sold so far is then void${copy}. Then start the gateways anew.`,
  );
}

/** The store holds something that this program does not write. */
export function damaged(name: string): StoreError {
  return new StoreError(
    'corrupt',
    `The store at ${name} is damaged or not a Sluice store: a key holds something else than was written. Configure another ` +
      '`keyPrefix`, or restore a copy and run `sluice store new-generation`.',
  );
}
