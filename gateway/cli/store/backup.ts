import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Redis } from 'ioredis';
import type { Io } from '../../../client/cli/io.ts';
import type { RedisStoreConfig } from '../../../config/config.ts';
import { addFlags, FlagsError, readFlags } from '../../../config/flags.ts';
import { loadConfig } from '../../../config/load.ts';
import { nameRedis } from '../../ledger/name-store.ts';
import { closeRedis, connectRedis } from '../../ledger/redis/connect.ts';
import { judgeFailure } from '../../ledger/redis/judge-failure.ts';
import { mastersOf } from '../../ledger/redis/masters.ts';
import { toStoreError } from '../../ledger/sqlite/failure.ts';
import { checkIsOurs } from '../../ledger/sqlite/migrations.ts';
import { StoreError } from '../../ledger/store.ts';

/** Pages that are copied at a time: gateways write in between. */
const PAGES_AT_ONCE = 2_000;
/** A Redis that has not written its snapshot by then is told of, ms. */
const SNAPSHOT_MS = 30 * 60_000;
const LOOK_EVERY_MS = 200;

/** `sluice store backup FILE`: a copy of the ledger as it is at one moment, while gateways go on. */
export function registerBackup(store: Command, io: Io): void {
  const command = store
    .command('backup')
    .description('copy the ledger, while gateways go on')
    .argument('[file]', 'of a SQLite store: where the copy goes. A Redis writes its own: then leave it out');
  addFlags(command).action(async (file: string | undefined, options: Readonly<Record<string, unknown>>) => {
    const { config } = loadConfig({ flags: readFlags(options), env: io.env, cwd: io.cwd });
    switch (config.store.type) {
      case 'memory':
        throw new FlagsError(
          'error: a store in memory is gone with its gateway; there is nothing to copy',
          1,
        );
      case 'sqlite': {
        if (file === undefined)
          throw new FlagsError('error: name the file of the copy: sluice store backup FILE', 1);
        const target = path.resolve(io.cwd, file);
        await backUpSqlite(config.store.file, target);
        io.stdout.write(
          `${target} is a copy of ${config.store.file} (${statSync(target).size} bytes).\n${AFTER}`,
        );
        return;
      }
      case 'redis': {
        if (file !== undefined)
          throw new FlagsError(
            'error: Redis writes its snapshot where its own configuration says; leave the file out',
            1,
          );
        const files = await backUpRedis(config.store);
        io.stdout.write(`${files.map((one) => `${one}\n`).join('')}${AFTER}`);
      }
    }
  });
}

const AFTER = `Keep the data folder beside it: without the master key nothing that was sold is recognised.
A copy forgets what came after it: payments and calls since then could be made a second time. Whoever restores one chooses, with the gateways
stopped: \`sluice store new-generation\` voids what was sold so far, \`sluice store accept-copy\` keeps it and takes that loss.
`;

async function backUpSqlite(file: string, target: string): Promise<void> {
  if (existsSync(target)) throw new FlagsError(`error: ${target} is there already; name another file`, 1);
  const draft = `${target}.part`;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true });
    checkIsOurs(db, file);
    // SQLite would make it as the umask leaves it.
    closeSync(openSync(draft, 'w', 0o600));
    await backup(db, draft, { rate: PAGES_AT_ONCE });
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { force: true });
    throw toStoreError(error, file);
  } finally {
    db?.close();
  }
}

/** Has every master write its snapshot. @returns where each is */
async function backUpRedis(config: RedisStoreConfig): Promise<readonly string[]> {
  const name = nameRedis(config);
  const client = await connectRedis(config);
  try {
    return await Promise.all(mastersOf(client).map((master) => snapshot(master)));
  } catch (error) {
    throw judgeFailure(error, name);
  } finally {
    await closeRedis(client);
  }
}

async function snapshot(master: Redis): Promise<string> {
  const where = `${master.options.host}:${master.options.port}`;
  const before = await master.lastsave();
  // A snapshot that is under way began before what was acknowledged just now; SCHEDULE has another follow it.
  await master.bgsave('SCHEDULE');
  const untilMs = Date.now() + SNAPSHOT_MS;
  for (;;) {
    const info = await master.info('persistence');
    const isOver = /rdb_bgsave_in_progress:0/.test(info);
    if (isOver && !/rdb_last_bgsave_status:ok/.test(info))
      throw new StoreError('unavailable', `${where} could not write its snapshot: its own log says why.`);
    if (isOver && (await master.lastsave()) > before) break;
    if (Date.now() > untilMs)
      throw new StoreError(
        'unavailable',
        `${where} has not written its snapshot in ${SNAPSHOT_MS / 60_000} minutes.`,
      );
    await wait(LOOK_EVERY_MS);
  }
  return `${where} has written ${await snapshotFile(master)}`;
}

async function snapshotFile(master: Redis): Promise<string> {
  try {
    const [, dir = ''] = stringsOf(await master.config('GET', 'dir'));
    const [, file = ''] = stringsOf(await master.config('GET', 'dbfilename'));
    return path.posix.join(dir, file);
  } catch {
    return 'its snapshot (its user may not ask where: CONFIG GET dir, dbfilename)';
  }
}

function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
