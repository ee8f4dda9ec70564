import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { msat } from '../node/msat.ts';
import { pruneRecords, putRecord, type TokenRecord, type TokenStore, updateRecord } from './token-store.ts';

/** Why the file of a token store can't be used. */
export class TokenFileError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TokenFileError';
  }
}

/** Where a file token store is, and what tests replace. */
export interface FileTokenStoreOptions {
  /** The JSON file; its folder is made when it is missing. `<file>.lock` beside it guards writes. */
  readonly file: string;
  /** How long to wait for another process, ms. Default 10,000. */
  readonly lockTimeoutMs?: number;
  readonly nowMs?: () => number;
}

const MAX_FILE_BYTES = 64 * 1024 * 1024;
const LOCK_RETRY_MS = 20;
const SQLITE_BUSY = 5;

const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const recordSchema = z.object({
  paymentHash: hex64,
  origin: z.string(),
  service: z.string(),
  scopes: z.array(z.string()),
  scheme: z.enum(['L402', 'LSAT']),
  macaroon: z.string(),
  invoice: z.string(),
  amountMsat: z.number().transform((amount) => msat(amount)),
  invoiceExpiresAtSec: z.number(),
  validUntilSec: z.number().exactOptional(),
  createdAtMs: z.number(),
  acceptedAtMs: z.number().exactOptional(),
  state: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('pending') }),
    z.object({ kind: z.literal('ready'), preimage: hex64 }),
    z.object({ kind: z.literal('spent'), preimage: hex64, spentAtMs: z.number() }),
  ]),
});
const fileSchema = z.object({ version: z.literal(1), tokens: z.array(recordSchema) });

/**
 * A token store in one JSON file, for Node. Tokens are money: the file has mode 0600, is replaced as a whole and synced
 * to the disk before a verb resolves, and several processes may use it. A file that can't be read is set aside under
 * another name and never overwritten; the store then begins anew after it said so once.
 * @throws {@link TokenFileError} from every verb
 * @example
 * const store = createFileTokenStore({ file: '.sluice/tokens.json' });
 */
export function createFileTokenStore(options: FileTokenStoreOptions): TokenStore {
  const { file } = options;
  const nowMs = options.nowMs ?? Date.now;
  const lockTimeoutMs = options.lockTimeoutMs ?? 10_000;
  let last: Promise<unknown> = Promise.resolve();

  const change = (edit: (records: readonly TokenRecord[]) => readonly TokenRecord[]): Promise<void> => {
    const turn = last.then(() =>
      withLock(file, lockTimeoutMs, async () => {
        const before = await readRecords(file);
        const after = pruneRecords(edit(before), nowMs());
        await writeRecords(file, after);
      }),
    );
    last = turn.catch(() => undefined);
    return turn;
  };

  return {
    // Needs no lock: the file is only ever replaced as a whole.
    list: async (origin) => (await readRecords(file)).filter((record) => record.origin === origin),
    put: (record) => change((records) => putRecord(records, record)),
    update: (paymentHash, edit) => change((records) => updateRecord(records, paymentHash, edit)),
  };
}

async function readRecords(file: string): Promise<readonly TokenRecord[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return [];
    throw new TokenFileError(`The token file ${file} can't be read; check its owner and mode.`, { cause });
  }
  try {
    if (text.length > MAX_FILE_BYTES) throw new RangeError('too large');
    return fileSchema.parse(JSON.parse(text)).tokens;
  } catch {
    // The cause would quote the file, and the file holds tokens.
    const kept = await setAside(file);
    throw new TokenFileError(
      `The token file ${file} is damaged. It was kept as ${kept}; the next run begins with an empty one. ` +
        'Tokens inside it may still be worth money.',
    );
  }
}

async function setAside(file: string): Promise<string> {
  const kept = `${file}.damaged-${new Date().toISOString().replaceAll(':', '')}-${randomBytes(3).toString('hex')}`;
  try {
    await rename(file, kept);
  } catch (cause) {
    throw new TokenFileError(`The token file ${file} is damaged and can't be renamed; move it away.`, {
      cause,
    });
  }
  return kept;
}

async function writeRecords(file: string, tokens: readonly TokenRecord[]): Promise<void> {
  const draft = `${file}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify({ version: 1, tokens }, null, 1)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    await syncFolder(dirname(file));
  } catch (cause) {
    await rm(draft, { force: true });
    throw new TokenFileError(
      `The token file ${file} can't be written; check the disk and the folder's mode.`,
      {
        cause,
      },
    );
  }
}

/** Makes the rename itself durable. Some systems can't sync a folder, and there the rename is as good as it gets. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!isCode(error, 'EISDIR') && !isCode(error, 'EPERM') && !isCode(error, 'EINVAL')) throw error;
  }
}

/**
 * Runs one change alone among all processes. The lock is SQLite's lock on a file of its own: the system gives it back
 * when its holder dies, so there is no stale lock to guess about.
 */
async function withLock(file: string, timeoutMs: number, work: () => Promise<void>): Promise<void> {
  const database = await openLock(`${file}.lock`);
  try {
    await takeLock(database, file, timeoutMs);
    await work();
  } finally {
    // Closing rolls back the empty transaction, and with it the lock goes.
    database.close();
  }
}

async function openLock(lockFile: string): Promise<DatabaseSync> {
  try {
    await mkdir(dirname(lockFile), { recursive: true, mode: 0o700 });
    // Made here, because SQLite would make it readable for everybody.
    await (await open(lockFile, 'a', 0o600)).close();
    return new DatabaseSync(lockFile, { timeout: 0 });
  } catch (cause) {
    throw new TokenFileError(`The lock ${lockFile} can't be opened; check the folder's owner and mode.`, {
      cause,
    });
  }
}

async function takeLock(database: DatabaseSync, file: string, timeoutMs: number): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += LOCK_RETRY_MS) {
    try {
      database.exec('BEGIN EXCLUSIVE');
      return;
    } catch (cause) {
      if (!isBusy(cause) || waitedMs >= timeoutMs) {
        throw new TokenFileError(`The token file ${file} is in use by another process; try again.`, {
          cause,
        });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
