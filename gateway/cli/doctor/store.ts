import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import type { Config, RedisStoreConfig } from '../../../config/config.ts';
import { keyFingerprint } from '../../l402/root-key.ts';
import { readLastSeen } from '../../ledger/last-seen.ts';
import { checkStore, StoreMismatchError } from '../../ledger/ledger.ts';
import { loadMasterKeys } from '../../ledger/master-key.ts';
import { nameRedis } from '../../ledger/name-store.ts';
import { inspectSqliteStore } from '../../ledger/sqlite/inspect.ts';
import type { StoreFacts } from '../../ledger/store-facts.ts';
import { describeSeconds } from './describe-seconds.ts';
import { type Diagnosis, reasonOf, scribe } from './diagnosis.ts';
import { checkRedis } from './redis.ts';

/** A store's clock runs behind ours by at most its purge interval; ahead of ours it never should, seconds. */
const CLOCK_SLACK_SEC = 60;

const NEW_GENERATION = 'or run `sluice store new-generation`: every credential sold so far is then void';

/**
 * The store, the master key and `ledger.json`: whether each can be used, and whether they belong together. Only reads: a doctor
 * must not raise the epoch, admit a key or make a file.
 */
export async function checkStoreAndKeys(config: Config, nowMs: () => number): Promise<readonly Diagnosis[]> {
  const say = scribe('store');
  const { store, dataDir } = config;
  if (store.type === 'memory') {
    const message = 'the store is in memory: what was sold is void after each restart';
    return [say.warning(message, 'use `store: sqlite` for anything but trials')];
  }
  const keys = await readKeys(config);
  if (store.type === 'redis') return [...keys.found, ...(await checkInRedis(config, store, keys, nowMs))];
  if (!existsSync(store.file)) return [...keys.found, await withoutFile(store.file, dataDir)];
  let facts: StoreFacts;
  try {
    facts = inspectSqliteStore(store.file);
  } catch (error) {
    const remedy = 'restore the file from a backup, or name another one with `store.file`';
    return [...keys.found, say.problem(reasonOf(error), remedy)];
  }
  return [
    ...keys.found,
    canWrite(store.file),
    ...checkKeys(facts, keys, config),
    await checkTogether(facts, store.file, dataDir, () => inspectSqliteStore(store.file)),
    ...checkStoreClock(facts, nowMs),
  ];
}

async function checkInRedis(
  config: Config,
  store: RedisStoreConfig,
  keys: Keys,
  nowMs: () => number,
): Promise<readonly Diagnosis[]> {
  const { found, facts } = await checkRedis(store, nowMs);
  if (facts === 'unknown') return found;
  const { dataDir } = config;
  const name = nameRedis(store);
  if (facts === 'none') return [...found, await withoutLedger(name, dataDir)];
  const again = async (): Promise<StoreFacts> => {
    const latest = await checkRedis(store, nowMs);
    return typeof latest.facts === 'string' ? facts : latest.facts;
  };
  return [
    ...found,
    ...checkKeys(facts, keys, config),
    await checkTogether(facts, name, dataDir, again),
    ...checkStoreClock(facts, nowMs),
  ];
}

async function withoutLedger(name: string, dataDir: string): Promise<Diagnosis> {
  const say = scribe('store');
  const seen = await readLastSeen(dataDir).catch(() => undefined);
  if (seen === undefined) return say.ok(`${name} holds no ledger yet; the first start makes it`);
  return say.problem(
    `${name} holds no ledger, and this data folder has used a store before`,
    `bring its data back, or set \`store\` and its \`keyPrefix\` right, ${NEW_GENERATION}`,
  );
}

async function withoutFile(file: string, dataDir: string): Promise<Diagnosis> {
  const say = scribe('store');
  const seen = await readLastSeen(dataDir).catch(() => undefined);
  if (seen === undefined) return say.ok(`${file} will be made at the first start`);
  return say.problem(
    `${file} is gone, and this data folder has used a store before`,
    `restore it from the newest backup, ${NEW_GENERATION}`,
  );
}

function canWrite(file: string): Diagnosis {
  const say = scribe('store');
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    // SQLite writes its log beside the file.
    accessSync(path.dirname(file), constants.R_OK | constants.W_OK | constants.X_OK);
    return say.ok(`${file} opens`);
  } catch {
    return say.problem(
      `${file} or its folder can not be written by this user`,
      `run: chown -R $(id -u) ${path.dirname(file)}`,
    );
  }
}

interface Keys {
  /** `undefined`: there are none, or they can't be read. */
  readonly fingerprints: readonly string[] | undefined;
  /** No key was made yet. */
  readonly none: boolean;
  readonly found: readonly Diagnosis[];
}

async function readKeys({ masterKeys, dataDir }: Config): Promise<Keys> {
  const say = scribe('master key');
  const file = path.join(dataDir, 'master.key');
  // Loading would make one.
  if (masterKeys.length === 0 && !existsSync(file)) return { fingerprints: undefined, none: true, found: [] };
  try {
    const keys = await loadMasterKeys({ configured: masterKeys, dataDir });
    return { fingerprints: keys.map(keyFingerprint), none: false, found: [] };
  } catch (error) {
    const found = [say.problem(reasonOf(error), 'put the right key in its place, from your backup')];
    return { fingerprints: undefined, none: false, found };
  }
}

function checkKeys({ keyFingerprints }: StoreFacts, keys: Keys, { dataDir }: Config): readonly Diagnosis[] {
  const say = scribe('master key');
  if (keys.none) {
    if (keyFingerprints.length === 0) return [say.ok('one will be made at the next start')];
    return [
      say.problem(
        `${path.join(dataDir, 'master.key')} is gone, and the store was written with one`,
        `restore it from your backup, ${NEW_GENERATION}`,
      ),
    ];
  }
  if (keys.fingerprints === undefined) return [];
  const fits = keyFingerprints.length === 0 || keys.fingerprints.some((one) => keyFingerprints.includes(one));
  if (fits) return [say.ok('the store knows the master key')];
  return [
    say.problem(
      'the store was written with another master key: no credential sold so far would be recognised',
      `restore the key file or the configured keys (all gateways on a store have the same), ${NEW_GENERATION}`,
    ),
  ];
}

async function checkTogether(
  facts: StoreFacts,
  storeName: string,
  dataDir: string,
  again: () => StoreFacts | Promise<StoreFacts>,
): Promise<Diagnosis> {
  const say = scribe('ledger.json');
  const store = { generation: async () => facts.generation, epoch: async () => facts.epoch };
  try {
    const seen = await readLastSeen(dataDir);
    if (seen === undefined) {
      return say.warning(
        `${path.join(dataDir, 'ledger.json')} is not there, so an older copy of the store would not be noticed`,
        'the next start writes it; keep the data folder with the store when you move one',
      );
    }
    // The gateway may have raised both since the store was read: that is no older copy.
    const now = seen.epoch > facts.epoch ? await again() : facts;
    await checkStore({ store: { ...store, epoch: async () => now.epoch }, storeName, dataDir });
    return say.ok('the store is the one that this data folder used last');
  } catch (error) {
    const remedy =
      error instanceof StoreMismatchError
        ? 'see above; nothing was changed'
        : 'restore ledger.json from your backup';
    return say.problem(reasonOf(error), remedy);
  }
}

function checkStoreClock({ clockSec }: StoreFacts, nowMs: () => number): readonly Diagnosis[] {
  const aheadSec = clockSec - Math.floor(nowMs() / 1000);
  if (aheadSec <= CLOCK_SLACK_SEC) return [];
  return [
    scribe('clock').problem(
      `the store was written at a time that is ${describeSeconds(aheadSec)} ahead of this machine's clock: it judges by that time until then`,
      "set the machine's clock by NTP; if it is right already, see docs/admin.md, When a clock was wrong",
    ),
  ];
}
