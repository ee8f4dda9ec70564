import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { OpenBackend } from '../contract/store.contract.ts';

/** A new folder under the system's temporary one, and how to remove it. */
export async function temporaryFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-ledger-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A SQLite file in a folder of its own. */
export const sqliteBackend: OpenBackend = async ({ nowMs }) => {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  return {
    open: () => openSqliteStore({ file, nowMs, spendDurability: 'normal' }),
    persistent: true,
    remove: folder.remove,
  };
};
