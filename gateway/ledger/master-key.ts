import { randomBytes } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const KEY_HEX = /^[0-9a-fA-F]{64}$/;
/** A key file is 64 digits and a line end; whatever is much longer is something else. */
const MAX_FILE_BYTES = 256;

/**
 * The master keys, 32 bytes each, newest first: the configured ones (hex), or else the one in `<dataDir>/master.key`, which
 * is made at first start.
 * @throws Error when a key is malformed, or when others than its owner may read the file. The message holds no key.
 */
export async function loadMasterKeys({
  configured,
  dataDir,
}: {
  readonly configured: readonly string[];
  readonly dataDir: string;
}): Promise<readonly Buffer[]> {
  if (configured.length > 0) {
    return configured.map((hex, index) => parseKey(hex, `masterKeys[${index}] of the configuration`));
  }
  const file = join(dataDir, 'master.key');
  const found = await readKeyFile(file);
  if (found !== undefined) return [found];
  await makeKeyFile(dataDir, file);
  // Read back: another process may have made the file first, and both must use the same key.
  const made = await readKeyFile(file);
  if (made === undefined) throw new Error(`${file} vanished while the gateway started. Start it again.`);
  return [made];
}

function parseKey(hex: string, where: string): Buffer {
  if (KEY_HEX.test(hex)) return Buffer.from(hex, 'hex');
  throw new Error(
    `${where} is not a master key: it must be 64 hex digits (make one with \`openssl rand -hex 32\`).`,
  );
}

async function readKeyFile(file: string): Promise<Buffer | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) {
      throw new Error(
        `${file} may be read by others than its owner, who could then mint credit. Run: chmod 600 ${file}`,
      );
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_FILE_BYTES), 0, MAX_FILE_BYTES, 0);
    return parseKey(buffer.toString('latin1', 0, bytesRead).trim(), file);
  } finally {
    await handle.close();
  }
}

/** Linked into place once it is on disk, so that nobody ever reads half a key, and the first of two processes wins. */
async function makeKeyFile(dataDir: string, file: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(32).toString('hex')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  } finally {
    await unlink(draft).catch(() => {});
  }
  await syncFolder(dataDir);
}

/** A new name in a folder survives a power cut only when the folder is synced too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
