import type { RedisServer } from '../../../config/redis-url.ts';

/** Names, IPv4, and IPv6 without brackets (with a zone). */
const HOST = /^[A-Za-z0-9._:%-]{1,253}$/;
const PORT = /^\d{1,5}$/;

/**
 * The address in a sentinel's answer, `[host, port]` (Redis, "SENTINEL GET-MASTER-ADDR-BY-NAME"). Undefined: it is none. What can't be
 * connected to makes `net.connect` throw, or leads to this machine when the host is empty.
 */
export function readMasterAddress(answer: unknown): RedisServer | undefined {
  if (!Array.isArray(answer) || answer.length !== 2) return undefined;
  const [host, written]: readonly unknown[] = answer;
  if (typeof host !== 'string' || typeof written !== 'string') return undefined;
  if (!HOST.test(host) || !PORT.test(written)) return undefined;
  const port = Number(written);
  return port < 1 || port > 65_535 ? undefined : { host, port };
}
