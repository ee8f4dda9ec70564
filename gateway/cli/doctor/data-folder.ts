import { accessSync, constants, type Stats, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../../config/config.ts';
import { type Diagnosis, scribe } from './diagnosis.ts';

/** Less than this, and a log or a backup fills the disk: then nothing can be sold, bytes. */
const LOW_DISK_BYTES = 200 * 1024 * 1024;

/** Files that the gateway refuses to use when others may read them. */
const KEPT_SECRET = ['master.key', 'admin.token'];
/** Files that the gateway makes for itself alone. */
const PRIVATE = ['ledger.json', 'simnet.json', 'simnet.sqlite'];

/** The data folder, what lies in it, and the secret files that the configuration names. */
export function checkDataFolder(config: Config): readonly Diagnosis[] {
  const say = scribe('data folder');
  const { dataDir } = config;
  const folder = look(dataDir);
  if (folder === undefined) return [say.ok(`${dataDir} will be made at the first start`)];
  if (!folder.isDirectory()) {
    return [say.problem(`${dataDir} is not a folder`, 'name another one with `data:` or --data')];
  }
  if (!isWritable(dataDir)) {
    const who = process.getuid === undefined ? 'this user' : `user ${process.getuid()}`;
    return [say.problem(`${dataDir} can not be written by ${who}`, `run: chown -R $(id -u) ${dataDir}`)];
  }
  const found = [...checkModes(config, folder), ...checkDisk(dataDir)];
  return found.length > 0 ? found : [say.ok(`${dataDir} is private and writable`)];
}

function* checkModes({ dataDir, store, node, listen }: Config, folder: Stats): Generator<Diagnosis> {
  const say = scribe('data folder');
  // Windows has no such bits.
  if (process.platform === 'win32') return;
  if ((folder.mode & 0o077) !== 0) {
    yield say.warning(`${dataDir} is open to other users of this machine`, `run: chmod 700 ${dataDir}`);
  }
  for (const name of KEPT_SECRET) {
    const file = path.join(dataDir, name);
    if (isOpen(file, 0o077)) {
      yield say.problem(
        `${file} can be read by other users, so the gateway does not start`,
        `run: chmod 600 ${file}`,
      );
    }
  }
  const named = [
    ...PRIVATE.map((name) => path.join(dataDir, name)),
    ...(store.type === 'sqlite' ? [store.file] : []),
    ...listen.flatMap(({ tls }) => (tls === undefined ? [] : [tls.keyFile])),
  ];
  for (const file of named) {
    // A key may be for a group: certificate tools make it so.
    const bits = file.endsWith('.key') || file.endsWith('.pem') ? 0o007 : 0o077;
    if (isOpen(file, bits)) {
      yield say.warning(`${file} can be read by other users`, `run: chmod 600 ${file}`);
    }
  }
  const { macaroonFile, clientKeyFile } = node.type === 'lnd' ? node : {};
  if (clientKeyFile !== undefined && isOpen(clientKeyFile, 0o007)) {
    yield say.warning(
      `${clientKeyFile} can be read by every user of this machine`,
      `run: chmod 640 ${clientKeyFile}`,
    );
  }
  if (macaroonFile !== undefined && isOpen(macaroonFile, 0o007)) {
    yield say.warning(
      `${macaroonFile} can be read by every user of this machine: it acts for the node`,
      `run: chmod 640 ${macaroonFile}`,
    );
  }
}

function checkDisk(dataDir: string): readonly Diagnosis[] {
  const { bavail, bsize } = statfsSync(dataDir);
  const freeBytes = bavail * bsize;
  if (freeBytes >= LOW_DISK_BYTES) return [];
  return [
    scribe('data folder').warning(
      `the disk of ${dataDir} has ${Math.floor(freeBytes / 1_000_000)} MB left`,
      'make room: a full disk stops all sales, and nothing that was paid is lost by it',
    ),
  ];
}

function look(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

function isOpen(file: string, bits: number): boolean {
  const stats = look(file);
  return stats !== undefined && (stats.mode & bits) !== 0;
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
