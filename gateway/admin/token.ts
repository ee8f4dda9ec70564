import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { link, mkdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';

/** Name of the token's file in the data folder. */
export const ADMIN_TOKEN_FILE = 'admin.token';

/** An admin token and where it is kept. */
export interface AdminToken {
  readonly token: string;
  readonly file: string;
  /** This call made it. */
  readonly created: boolean;
}

/**
 * Reads the bearer token of the admin API from the data folder, or makes one (256 random bits, mode 0600).
 * @throws Error when the file can be read by others, or holds something else.
 */
export async function loadAdminToken(dataDir: string): Promise<AdminToken> {
  const file = join(dataDir, ADMIN_TOKEN_FILE);
  const known = await readToken(file);
  if (known !== undefined) return { token: known, file, created: false };
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const token = randomBytes(32).toString('base64url');
  if (await writeOnce(file, `${token}\n`)) return { token, file, created: true };
  // Another gateway on the same folder was faster: its token is the token.
  const theirs = await readToken(file);
  if (theirs === undefined) throw new Error(`${file} disappeared while it was read; start again.`);
  return { token: theirs, file, created: false };
}

/**
 * The configured token, or else the one of the data folder.
 * @throws Error as {@link loadAdminToken}
 */
export async function adminTokenOf(config: Pick<Config, 'adminToken' | 'dataDir'>): Promise<string> {
  return config.adminToken ?? (await loadAdminToken(config.dataDir)).token;
}

/** Compares in constant time; hashed first, so that lengths don't show either. */
export function isSameToken(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function readToken(file: string): Promise<string | undefined> {
  let text: string;
  try {
    const { mode } = await stat(file);
    // Windows has no such bits.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new Error(`${file} can be read by other users. Run: chmod 600 ${file}`);
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const token = text.trim();
  if (!/^[A-Za-z0-9_-]{32,256}$/.test(token)) {
    throw new Error(`${file} does not hold an admin token. Delete it, and the next start makes a new one.`);
  }
  return token;
}

/** Whole or not at all, and never over another's: written beside it, then linked into place. */
async function writeOnce(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx', flush: true });
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
