import path from 'node:path';
import type { Command } from 'commander';
import type { Io } from '../../../client/cli/io.ts';
import type { RedisStoreConfig } from '../../../config/config.ts';
import { addFlags, FlagsError, parseStore, readFlags } from '../../../config/flags.ts';
import { loadConfig } from '../../../config/load.ts';
import { migrate } from '../../ledger/migrate.ts';
import { nameRedis } from '../../ledger/name-store.ts';
import { connectRedis } from '../../ledger/redis/connect.ts';
import { openRedisRecords } from '../../ledger/redis/records.ts';
import { openImport } from '../../ledger/redis/write-records.ts';
import { REDIS_STORE_VERSION } from '../../ledger/redis.ts';
import { openSqliteRecords } from '../../ledger/sqlite/records.ts';
import { formatSums } from './check.ts';

/** `sluice store migrate --from sqlite:FILE --to redis://…`: moves the ledger, once, while no gateway runs. */
export function registerMigrate(store: Command, io: Io): void {
  const command = store
    .command('migrate')
    .description('move the ledger from SQLite to Redis; stop the gateways first')
    .requiredOption('--from <store>', 'sqlite:FILE')
    .option('--to <store>', 'redis://HOST:PORT; without it, the store of the configuration file');
  addFlags(command).action(async (options: Readonly<Record<string, unknown>>) => {
    const { from, to, ...flags } = options;
    const { config } = loadConfig({
      flags: { ...readFlags(flags), ...(typeof to === 'string' && { store: parseStore(to) }) },
      env: io.env,
      cwd: io.cwd,
    });
    if (config.store.type !== 'redis')
      throw new FlagsError(
        'error: --to: only Redis can be moved to: redis://HOST:PORT, or a configuration file with it',
        1,
      );
    await move(sourceFile(from, io.cwd), config.store, io);
  });
}

function sourceFile(from: unknown, cwd: string): string {
  if (typeof from === 'string' && /^sqlite:./.test(from))
    return path.resolve(cwd, from.slice('sqlite:'.length));
  throw new FlagsError('error: --from: only SQLite can be moved from: sqlite:FILE', 1);
}

async function move(file: string, to: RedisStoreConfig, io: Io): Promise<void> {
  const name = nameRedis(to);
  const from = openSqliteRecords(file, 'alone');
  try {
    const client = await connectRedis(to);
    const written = openRedisRecords(client, name, to.keyPrefix);
    try {
      const moved = await migrate({
        from,
        to: openImport({
          client,
          name,
          keyPrefix: to.keyPrefix,
          storeVersion: REDIS_STORE_VERSION,
          replicas: to.wait?.replicas ?? 0,
        }),
        written,
        onProgress: ({ kind, rows }) => io.stderr.write(`${kind}: ${rows}\n`),
      });
      // The last step: from now on nothing that was sold is good at the old store.
      from.retire();
      io.stdout.write(
        `${moved.start === 'finished' ? 'It had been moved already' : 'Moved'}: ${file} → ${name}\n${formatSums(moved)}` +
          `Every account was compared. ${file} is void from now on: keep it as a copy or delete it.\n` +
          `Start the gateways with \`store: { type: redis, … }\`, the same data folder and the same master key.\n`,
      );
    } finally {
      await written.close();
    }
  } finally {
    await from.close();
  }
}
