import { isIP } from 'node:net';
import type { z } from 'zod';
import { bareHost } from '../node/bare-host.ts';
import { type Refused, reference, written } from './values.ts';

/** A server of Redis. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

/** What a Redis URL says. */
export interface RedisUrl extends RedisServer {
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
}

const MAX_URL = 2_000;
const REMEDY = 'write scheme, host and port: `redis://127.0.0.1:6379`, or `rediss://` for TLS';

/** Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`. A refusal never repeats the URL: it may hold a password. */
export function parseRedisUrl(value: string): RedisUrl | Refused {
  const refused = (problem: string, remedy = REMEDY): Refused => ({ problem, remedy });
  if (value.length > MAX_URL || !URL.canParse(value)) return refused('is not a URL');
  const url = new URL(value);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return refused('is not a redis or rediss URL');
  if (url.search !== '' || url.hash !== '') {
    return refused('has something after `?` or `#`', 'write such settings as keys beside `url`');
  }
  const server = readServer(url.host, 6_379);
  if (server === undefined) return refused('names no host');
  const database = /^\/?$/.test(url.pathname) ? undefined : /^\/(\d{1,6})$/.exec(url.pathname)?.[1];
  if (database === undefined && url.pathname.length > 1) {
    return refused(
      'has a path that is not a database number',
      'write for example `redis://127.0.0.1:6379/0`',
    );
  }
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === undefined || password === undefined) {
    return refused('has a user name or password with a wrong `%`', 'write `%25` for a percent sign');
  }
  if (username !== '' && password === '') {
    return refused(
      'has a user and no password',
      `add it: \`redis://USER:${reference('REDIS_PASSWORD')}@HOST\``,
    );
  }
  return {
    ...server,
    tls: url.protocol === 'rediss:',
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(database !== undefined && { database: Number(database) }),
  };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** A server as it is written in a list: `10.0.0.1:6379`, `redis-1`, `[fd00::1]:6379`. */
export function redisServer(defaultPort: number): z.ZodType<RedisServer, string | number> {
  return written((value): RedisServer | Refused => {
    const server = readServer(value, defaultPort);
    return (
      server ?? {
        problem: 'is not a host and a port',
        remedy: `write for example \`10.0.0.1:${defaultPort}\`, \`redis-1.internal\` or \`[fd00::1]:${defaultPort}\``,
      }
    );
  }, 'address');
}

function readServer(value: string, defaultPort: number): RedisServer | undefined {
  const parts = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?$/.exec(value);
  const [, written = '', digits] = parts ?? [];
  const port = digits === undefined ? defaultPort : Number(digits);
  const host = bareHost(written).toLowerCase();
  if (host === '' || port < 1 || port > 65_535) return undefined;
  return written.startsWith('[') && isIP(host) !== 6 ? undefined : { host, port };
}
