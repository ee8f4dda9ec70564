import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Which store a gateway used last, and how far it had come. */
export interface LastSeen {
  readonly generation: string;
  readonly epoch: number;
}

function fileIn(dataDir: string): string {
  return join(dataDir, 'ledger.json');
}

/**
 * Reads `ledger.json` of the data folder; `undefined` at first start.
 * @throws Error when the file can't be read or does not have the form that this program writes.
 */
export async function readLastSeen(dataDir: string): Promise<LastSeen | undefined> {
  const file = fileIn(dataDir);
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = parseLastSeen(content);
  if (parsed !== undefined) return parsed;
  throw new Error(
    `${file} is damaged. Restore it, or run \`sluice store new-generation\`: credit sold so far is then void.`,
  );
}

function parseLastSeen(content: string): LastSeen | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('generation' in value) || !('epoch' in value))
    return undefined;
  const { generation, epoch } = value;
  if (typeof generation !== 'string' || !/^[0-9a-f]{32,128}$/.test(generation)) return undefined;
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0) return undefined;
  return { generation, epoch };
}

/** Writes `ledger.json`: as a whole or not at all, and on disk when it resolves. */
export async function writeLastSeen(dataDir: string, seen: LastSeen): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = fileIn(dataDir);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(seen)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await unlink(draft).catch(() => {});
    throw error;
  }
}
