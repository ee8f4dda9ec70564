import { ConfigError } from '../config/problem.ts';
import { NodeError } from '../node/node.ts';
import { StoreMismatchError } from './ledger/ledger.ts';
import { StoreError } from './ledger/store.ts';

/** What stops a start, for a person: what an operator can mend is said in words; anything else is a bug and keeps its stack. */
export function explainFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'EADDRINUSE') {
    const where = 'port' in error ? ` ${String(error.port)}` : '';
    return `Port${where} is in use, perhaps by another gateway. Stop that one, or choose others with --port and --admin-port.`;
  }
  const known =
    error instanceof ConfigError ||
    error instanceof NodeError ||
    error instanceof StoreError ||
    error instanceof StoreMismatchError;
  return known || 'code' in error || error.constructor === Error
    ? error.message
    : (error.stack ?? error.message);
}
