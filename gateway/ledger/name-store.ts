import type { RedisStoreConfig, StoreConfig } from '../../config/config.ts';
import type { RedisServer } from '../../config/redis-url.ts';

/** A store for messages: where it is, without user or password. */
export function nameStore(store: StoreConfig): string {
  switch (store.type) {
    case 'memory':
      return 'memory: nothing survives a restart';
    case 'sqlite':
      return store.file;
    case 'redis':
      return nameRedis(store);
  }
}

/** `redis://127.0.0.1:6379/0`, or the sentinels or the nodes of the Cluster. */
export function nameRedis({ reach, tls, database }: RedisStoreConfig): string {
  const scheme = tls === undefined ? 'redis' : 'rediss';
  switch (reach.kind) {
    case 'single':
      return `${scheme}://${nameServer(reach.server)}${database === 0 ? '' : `/${database}`}`;
    case 'sentinel':
      return `${scheme} master ${reach.master} (sentinels ${nameServers(reach.sentinels)})`;
    case 'cluster':
      return `${scheme} cluster ${nameServers(reach.nodes)}`;
  }
}

/** `127.0.0.1:6379`, `[::1]:6379` */
export function nameServer({ host, port }: RedisServer): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function nameServers(servers: readonly RedisServer[]): string {
  const shown = servers.slice(0, 3).map(nameServer).join(', ');
  return servers.length > 3 ? `${shown} and ${servers.length - 3} more` : shown;
}
