import { ConfigError } from '../config/problem.ts';
import { NodeError } from '../node/node.ts';
import { StoreMismatchError } from './ledger/ledger.ts';
import { StoreError } from './ledger/store.ts';

/** What stops a start, for a person: what an operator can mend is said in words; anything else is a bug and keeps its stack. */
export function explainFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const ofTheSystem = explainListening(error) ?? explainFile(error);
  if (ofTheSystem !== undefined) return ofTheSystem;
  const known =
    error instanceof ConfigError ||
    error instanceof NodeError ||
    error instanceof StoreError ||
    error instanceof StoreMismatchError;
  return known || 'code' in error || error.constructor === Error
    ? error.message
    : (error.stack ?? error.message);
}

function explainListening(
  error: NodeJS.ErrnoException & { address?: string; port?: number },
): string | undefined {
  const { code, syscall, address = '', port } = error;
  const where = port === undefined ? 'The port' : `Port ${port}`;
  if (code === 'EADDRINUSE') {
    return `${where} is in use, perhaps by another gateway. Stop that one, or choose others with --port and --admin-port.`;
  }
  if (syscall !== 'listen') return undefined;
  if (code === 'EACCES') {
    return `${where} is not for this user. Choose one above 1023 with --port, or put a reverse proxy in front.`;
  }
  return code === 'EADDRNOTAVAIL'
    ? `${address} is no address of this machine. Listen on 127.0.0.1, or on 0.0.0.0 for all of its addresses.`
    : undefined;
}

const UNUSABLE: Readonly<Record<string, string>> = {
  EACCES: 'this user has no right to it',
  EPERM: 'this user has no right to it',
  EROFS: 'its disk can only be read',
  ENOSPC: 'its disk is full',
  EEXIST: 'it is a file, and a folder is needed',
  ENOTDIR: 'a file stands where a folder is needed',
};

/** All files that a start makes are in the data folder; those that it only reads have errors of their own. */
function explainFile({ code = '', path }: NodeJS.ErrnoException): string | undefined {
  const problem = UNUSABLE[code];
  if (problem === undefined || path === undefined) return undefined;
  return `${path} can not be used: ${problem}. Mend that, or name another data folder with --data.`;
}
