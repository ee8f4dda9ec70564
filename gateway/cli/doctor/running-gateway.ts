import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { request } from 'undici';
import type { Config } from '../../../config/config.ts';
import { ADMIN_TOKEN_FILE } from '../../admin/token.ts';
import { METRICS } from '../../observe/metric-table.ts';
import { type Diagnosis, scribe } from './diagnosis.ts';

/** A gateway that runs with this configuration. */
export interface RunningGateway {
  /** Its own version. */
  readonly version: string;
  /** A peer sent X-Forwarded-For and is not declared in `trustedProxies`; `undefined`: it does not say. */
  readonly undeclaredProxy: boolean | undefined;
}

const TIMEOUT_MS = 3_000;
const MAX_METRICS_BYTES = 4 * 1024 * 1024;

/** Looks for a gateway at the admin listener; `undefined` when there is none, or it is not ours. */
export async function findRunningGateway({
  admin,
  adminToken,
  dataDir,
}: Config): Promise<RunningGateway | undefined> {
  if (admin.port === 0) return undefined;
  const url = `http://${reachable(admin.host)}:${admin.port}/metrics`;
  // Without the token first: whoever else listens there need not see it.
  const open = await scrape(url, {});
  if (open.status !== 401) return open.gateway;
  const token = adminToken ?? (await readFile(path.join(dataDir, ADMIN_TOKEN_FILE), 'utf8').catch(() => ''));
  if (!/^[A-Za-z0-9_-]{32,256}\s*$/.test(token)) return undefined;
  return (await scrape(url, { authorization: `Bearer ${token.trim()}` })).gateway;
}

/** An address that listens everywhere is reached on this machine. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

async function scrape(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly gateway: RunningGateway | undefined }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { statusCode, body } = await request(url, { headers, signal });
    let text = '';
    for await (const chunk of body) {
      text += String(chunk);
      if (text.length > MAX_METRICS_BYTES) break;
    }
    return { status: statusCode, gateway: statusCode === 200 ? readMetrics(text) : undefined };
  } catch {
    return { status: 0, gateway: undefined };
  }
}

function readMetrics(text: string): RunningGateway | undefined {
  const version = new RegExp(`^${METRICS.buildInfo.name}\\{[^}\\n]*version="([^"\\n]{1,64})"`, 'm').exec(
    text,
  )?.[1];
  if (version === undefined) return undefined;
  const proxy = new RegExp(`^${METRICS.undeclaredProxy.name} ([01])$`, 'm').exec(text)?.[1];
  return { version, undeclaredProxy: proxy === undefined ? undefined : proxy === '1' };
}

/** Whether somebody stands in front that was not declared: then all buyers share one throttle. */
export function checkProxy(config: Config, running: RunningGateway | undefined): Diagnosis {
  const say = scribe('proxy');
  const declared = config.trustedProxies.length;
  if (running?.undeclaredProxy === true) {
    return say.warning(
      'a proxy in front of the gateway is not declared: all its clients count as one address, and share one throttle',
      'name its address in `trustedProxies:` (the log of the gateway says which)',
    );
  }
  if (running?.undeclaredProxy === false) {
    return say.ok(
      declared === 0
        ? 'the gateway has seen no proxy in front of it'
        : `${declared} declared, and the gateway has seen no other one in front of it`,
    );
  }
  return say.ok(
    `${declared === 0 ? 'none declared' : `${declared} declared`}; only a running gateway sees one that is not: ` +
      'run this again when requests have come in through it',
  );
}
