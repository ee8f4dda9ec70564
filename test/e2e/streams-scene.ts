import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Account, Store } from '../../gateway/ledger/store.ts';
import { LEAST_PAID_MS } from '../../gateway/meter/open-tab.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { buy, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { askTopUp, type SeenTopUp } from '../support/top-up.ts';
import { openScene, type Scene, termsOf, type Upstream, type Ware } from './scene.ts';

/** The stores that a stream is tried on. */
export const STORES = ['memory', 'sqlite'] as const;
export type StoreKind = (typeof STORES)[number];

/** Opens a store of the test's own, on the machine's clock. */
export async function openStore(scene: Scene, kind: StoreKind): Promise<Store> {
  if (kind === 'memory') return createMemoryStore({ nowMs: Date.now });
  const file = join(await scene.folder(), 'store.db');
  return scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
}

/** The line that a metered stream leaves in the log. */
export interface StreamLine {
  readonly service: string;
  readonly accountId: string;
  readonly unit: string;
  readonly billedMsat: number;
  readonly deliveredUnits: number;
  readonly heldMs: number;
  readonly cutBy?: string;
}

/** A gateway that sells one metered service of an upstream that the test itself plays. */
export interface Shop {
  readonly scene: Scene;
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  readonly store: Store;
  readonly log: readonly string[];
  /** The next request that reached the upstream, to be answered by the test. */
  asked(): Promise<Asked>;
  /** Lines of streams that have ended. */
  ended(): readonly StreamLine[];
  /** Waits until so many streams have ended. @returns the last of them */
  untilEnded(count?: number): Promise<StreamLine>;
  /** Opens the service with a credential. */
  open(credential: string, init?: http.RequestOptions & { readonly path?: string }): Promise<Listening>;
}

/** A request at the upstream. */
export interface Asked {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** When it came, `performance.now()`. */
  readonly atMs: number;
  /** Resolves when its connection is over. */
  readonly gone: Promise<unknown>;
}

/** The most that a stream can have been paid for since a moment of `performance.now()`, ms: the time, or the least time of a connection. */
export function paidSince(fromMs: number): number {
  return Math.max(LEAST_PAID_MS, performance.now() - fromMs);
}

/** Metering that makes tests quick. */
export const QUICK = { sliceMs: 200, holdMs: 10_000, warnMs: 0 } as const;

export async function openShop(
  t: TestContext,
  { store: kind = 'memory', ...ware }: Omit<Partial<Ware>, 'upstream'> & { price: string; store?: StoreKind },
  options: TestGatewayOptions = {},
  others: readonly (Omit<Ware, 'upstream'> & { name: string; path: string })[] = [],
): Promise<Shop> {
  const scene = openScene(t);
  const requests: Asked[] = [];
  let read = 0;
  const upstream = await scene.upstream((req, res) => {
    res.on('error', () => {});
    const gone = once(res, 'close').catch(() => {});
    requests.push({ req, res, atMs: performance.now(), gone });
  });
  const log: string[] = [];
  const store = options.store ?? (await openStore(scene, kind));
  const withUpstream = (one: Partial<Ware> & { price: string }): Ware => ({
    upstream: upstream.origin,
    ...one,
    metering: { ...QUICK, ...one.metering },
  });
  const gateway = await scene.gateway([ware, ...others].map(withUpstream), {
    store,
    log: createLog({ level: 'info', format: 'json', destination: { write: (line) => log.push(line) } }),
    ...options,
  });
  const ended = (): StreamLine[] =>
    log.filter((line) => line.includes('"a stream ended"')).map((line) => JSON.parse(line));
  return {
    scene,
    gateway,
    upstream,
    store,
    log,
    ended,
    async asked() {
      const at = read;
      read += 1;
      await eventually(
        () => requests.length,
        (length) => length > at,
      );
      return requests[at] as Asked;
    },
    async untilEnded(count = 1) {
      const lines = await eventually(ended, ({ length }) => length >= count);
      return lines[count - 1] as StreamLine;
    },
    open: (credential, init = {}) =>
      listen(t, gateway.url + (init.path ?? '/quote'), {
        ...init,
        headers: { ...init.headers, authorization: credential },
      }),
  };
}

/** A piece of a body, and when it arrived. */
export interface Arrival {
  readonly atMs: number;
  readonly bytes: number;
}

/** A response as it comes. */
export interface Listening {
  readonly response: IncomingMessage;
  readonly request: http.ClientRequest;
  readonly arrivals: readonly Arrival[];
  text(): string;
  bytes(): number;
  /** Waits until what has come matches. */
  until(pattern: RegExp): Promise<string>;
  /** How it ended: whole, or broken off. */
  readonly end: Promise<'whole' | 'broken'>;
  /** The client goes away. */
  leave(): void;
}

/** Sends a request and reads its answer as it comes, on a connection of its own. */
export async function listen(
  t: TestContext,
  url: string,
  { body, ...options }: http.RequestOptions & { readonly body?: string | Buffer } = {},
): Promise<Listening> {
  const request = http.request(url, { agent: false, ...options });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  request.on('error', () => {});
  t.after(() => request.destroy());
  const arrivals: Arrival[] = [];
  const chunks: Buffer[] = [];
  const end = new Promise<'whole' | 'broken'>((resolve) => {
    response.once('end', () => resolve('whole'));
    response.on('error', () => resolve('broken'));
    response.once('close', () => resolve(response.complete ? 'whole' : 'broken'));
  });
  response.on('data', (chunk: Buffer) => {
    arrivals.push({ atMs: performance.now(), bytes: chunk.length });
    chunks.push(chunk);
  });
  const text = (): string => Buffer.concat(chunks).toString('latin1');
  return {
    response,
    request,
    arrivals,
    text,
    bytes: () => arrivals.reduce((sum, { bytes }) => sum + bytes, 0),
    until: (pattern) => eventually(text, (seen) => pattern.test(seen)),
    end,
    leave: () => request.destroy(),
  };
}

export const SSE = { 'Content-Type': 'text/event-stream' } as const;

/** Writes numbered events for as long as the client's side takes them. @returns how to stop; the number of events written */
export function tick(res: ServerResponse, everyMs = 20): { stop(): number; readonly count: () => number } {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    res.write(`data: ${count}\n\n`);
  }, everyMs);
  res.once('close', () => clearInterval(timer));
  return {
    count: () => count,
    stop: () => {
      clearInterval(timer);
      return count;
    },
  };
}

/** The numbers of the upstream's events in what a client read. */
export function numbersIn(text: string): number[] {
  return [...text.matchAll(/^data: (\d+)$/gm)].map(([, number]) => Number(number));
}

/** From 1 on, none lost and none doubled. */
export function isWithoutGap(numbers: readonly number[]): void {
  assert.deepEqual(
    numbers,
    numbers.map((_, at) => at + 1),
  );
}

/** The account of a credential when nothing is set aside any more; its sums hold. */
export async function settled(store: Store, credential: string): Promise<Account> {
  const { accountId } = termsOf(credential);
  const account = await eventually(
    () => store.account(accountId),
    (seen) => seen?.reservedMsat === 0,
  );
  assert.ok(account);
  isBalanced(account);
  return account;
}

export function isBalanced(account: Account): void {
  const { creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = account;
  assert.equal(creditedMsat, spentMsat + reservedMsat + expiredMsat + balanceMsat);
}

/** Asks for a top-up and pays it: the node's feed brings the credit. */
export async function topUp(
  gateway: TestGateway,
  credential: string,
  amountMsat: number,
): Promise<SeenTopUp> {
  const made = await askTopUp(gateway.url, credential, { amountMsat });
  await gateway.pay(made.invoice);
  return made;
}

/** A credential for the shop's service. */
export function credentialFor({ gateway }: Shop, path = '/quote', init: RequestInit = {}): Promise<string> {
  return buy(gateway, path, init);
}

/** Sends a request and reads what comes, once its credential is in hand. */
export async function statusOf(
  gateway: TestGateway,
  credential: string,
  path = '/quote',
): Promise<readonly [status: number, code: string]> {
  const response = await fetch(gateway.url + path, { headers: { Authorization: credential } });
  const body: { error?: { code?: string } } = await response.json();
  return [response.status, body.error?.code ?? ''];
}

/** Value of a metric, summed over the labels that match. */
export async function metricOf(gateway: TestGateway, line: string): Promise<number> {
  const response = await fetch(`${gateway.adminUrl}/metrics`, {
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  const lines = (await response.text()).split('\n').filter((one) => one.startsWith(line));
  return lines.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(' ') + 1)), 0);
}

/** The operator revokes the account of a credential. */
export async function revoke(gateway: TestGateway, credential: string): Promise<void> {
  const { accountId } = termsOf(credential);
  const response = await fetch(`${gateway.adminUrl}/api/accounts/${accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.ok(response.ok);
}
