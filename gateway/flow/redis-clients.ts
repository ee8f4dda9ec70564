import { hash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';
import { within } from '../../node/within.ts';
import type { SharedAdmission, SharedClients } from './shared-clients.ts';

/** What counting in Redis needs. */
export interface RedisClientsOptions {
  /** The store's own client. */
  readonly client: Redis | Cluster;
  readonly keyPrefix: string;
  /** An answer that takes longer counts as none, ms; default 250. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 250;
const COMMAND = 'sluice-admit-client';
const AWAY: SharedAdmission = { kind: 'away' };

/**
 * Counts clients in Redis: a token bucket and the unpaid invoices of each, which Redis forgets when they say nothing any more. Addresses
 * are hashed: they are personal data, and text of a stranger.
 */
export function redisClients(options: RedisClientsOptions): SharedClients {
  const { client, keyPrefix, timeoutMs = TIMEOUT_MS } = options;
  const lua = readFileSync(new URL('admit-client.lua', import.meta.url), 'utf8');
  client.defineCommand(COMMAND, { lua, numberOfKeys: 2 });
  const admitClient: unknown = Reflect.get(client, COMMAND);
  if (typeof admitClient !== 'function') throw new Error('ioredis did not take the script admit-client');

  return {
    async admit(clientKey, limits) {
      const { burst, perMinute, maxOutstandingPerClient, invoiceExpirySec } = limits;
      const tag = `${keyPrefix}client:{${hash('sha256', clientKey, 'hex').slice(0, 32)}}`;
      const places = `${tag}:places`;
      const name = randomBytes(9).toString('base64url');
      const bounds = [burst, perMinute, maxOutstandingPerClient, invoiceExpirySec].map(String);
      const asked = Reflect.apply(admitClient, client, [`${tag}:bucket`, places, ...bounds, name]);
      // Without an answer in time, and after a failure, Redis counts as away.
      const answer: unknown = await within(timeoutMs, Promise.resolve(asked), undefined).catch(
        () => undefined,
      );
      const giveBack = (): void => {
        client.zrem(places, name).catch(() => {});
      };
      return readAnswer(answer, giveBack);
    },
  };
}

function readAnswer(answer: unknown, giveBack: () => void): SharedAdmission {
  if (!Array.isArray(answer)) return AWAY;
  const [kind, retryAfterSec]: readonly unknown[] = answer;
  switch (kind) {
    case 'ok':
      return { kind: 'admitted', place: { giveBack } };
    case 'full':
      return { kind: 'full' };
    case 'wait':
      return { kind: 'wait', retryAfterSec: typeof retryAfterSec === 'number' ? retryAfterSec : 1 };
    default:
      return AWAY;
  }
}
