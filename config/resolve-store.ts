import path from 'node:path';
import type { RedisReach, RedisStoreConfig, RedisTlsConfig, StoreConfig } from './config.ts';
import type { ConfigFile } from './schema.ts';

type StoreFile = ConfigFile['store'];
type RedisFile = Extract<StoreFile, { type: 'redis' }>;

/** The store as the program uses it. */
export function resolveStore(
  store: StoreFile,
  dataDir: string,
  absolute: (name: string) => string,
): StoreConfig {
  switch (store.type) {
    case 'memory':
      return { type: 'memory' };
    case 'sqlite': {
      const file = store.file === undefined ? path.join(dataDir, 'ledger.db') : absolute(store.file);
      return { type: 'sqlite', file, spendDurability: store.spendDurability, passGraceMs: store.passGrace };
    }
    case 'redis':
      return resolveRedis(store, absolute);
  }
}

function resolveRedis(store: RedisFile, absolute: (name: string) => string): RedisStoreConfig {
  const { url, wait } = store;
  const username = store.username ?? url?.username;
  const password = store.password ?? url?.password;
  const tls = resolveTls(store, absolute);
  return {
    type: 'redis',
    reach: resolveReach(store),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database: store.database ?? url?.database ?? 0,
    ...(tls !== undefined && { tls }),
    keyPrefix: store.keyPrefix,
    connectTimeoutMs: store.connectTimeout,
    commandTimeoutMs: store.commandTimeout,
    ...(wait !== undefined && { wait: { replicas: wait.replicas, timeoutMs: wait.timeout } }),
    strict: store.strict,
    passGraceMs: store.passGrace,
  };
}

/** The schema has seen to it that exactly one way is given. */
function resolveReach(store: RedisFile): RedisReach {
  const { url, sentinels, cluster, sentinelUsername, sentinelPassword } = store;
  if (cluster !== undefined) return { kind: 'cluster', nodes: cluster };
  if (sentinels !== undefined) {
    return {
      kind: 'sentinel',
      sentinels,
      master: store.master ?? '',
      ...(sentinelUsername !== undefined && { sentinelUsername }),
      ...(sentinelPassword !== undefined && { sentinelPassword }),
    };
  }
  return { kind: 'single', server: { host: url?.host ?? '', port: url?.port ?? 0 } };
}

function resolveTls({ url, tls }: RedisFile, absolute: (name: string) => string): RedisTlsConfig | undefined {
  if (tls === undefined || typeof tls === 'boolean') return (tls ?? url?.tls) ? {} : undefined;
  return {
    ...(tls.ca !== undefined && { caFile: absolute(tls.ca) }),
    ...(tls.cert !== undefined && { certFile: absolute(tls.cert) }),
    ...(tls.key !== undefined && { keyFile: absolute(tls.key) }),
    ...(tls.servername !== undefined && { servername: tls.servername }),
  };
}
