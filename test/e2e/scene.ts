import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { readTerms, type Terms } from '../../gateway/l402/caveat.ts';
import { type Macaroon, macaroonFromText, macaroonToBase64 } from '../../gateway/l402/macaroon.ts';
import type { Account } from '../../gateway/ledger/store.ts';
import { type Closable, startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { type TestService, testService } from '../support/config.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';

/** A request as the upstream saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** An upstream that remembers what it was asked. */
export interface Upstream extends TestUpstream {
  readonly seen: SeenRequest[];
}

/** What one test opens; closed in reverse order when the test is over, however it ends. */
export interface Scene {
  /** An upstream; without a listener it answers everything with 200 and `paid for`. */
  upstream(listener?: RequestListener): Promise<Upstream>;
  /** A gateway that sells `services`; one without an upstream of its own is sold from `upstream`. */
  gateway(services: readonly Ware[], options?: TestGatewayOptions): Promise<TestGateway>;
  keep<T extends Closable>(closable: T): T;
  /** A folder of the test's own. */
  folder(): Promise<string>;
}

/** A service for sale; path and name have defaults. */
export type Ware = Partial<TestService> & Pick<TestService, 'price' | 'upstream'>;

export function openScene(t: TestContext): Scene {
  const open: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of open.reverse()) await close();
  });
  return {
    async upstream(listener = answerPaid) {
      const seen: SeenRequest[] = [];
      const upstream = await startUpstream((req, res) => {
        record(req, seen);
        listener(req, res);
      });
      // Node forgets the sockets of upgrades: closing the server would wait for them.
      const sockets = new Set<Duplex>();
      upstream.server.on('upgrade', (_req, socket) => sockets.add(socket.on('error', () => {})));
      open.push(async () => {
        for (const socket of sockets) socket.destroy();
        await upstream.close();
      });
      return { ...upstream, seen };
    },
    async gateway(wares, options = {}) {
      const gateway = await startTestGateway(wares.map(toService), {
        ...options,
        config: { drainTimeoutMs: 200, ...options.config },
      });
      open.push(() => gateway.stop());
      return gateway;
    },
    keep(closable) {
      open.push(() => closable.close());
      return closable;
    },
    async folder() {
      const path = await mkdtemp(join(tmpdir(), 'sluice-e2e-'));
      open.push(() => rm(path, { recursive: true, force: true }));
      return path;
    },
  };
}

export function toService(ware: Ware) {
  return testService({ path: '/quote', name: 'quote', ...ware });
}

function answerPaid(req: IncomingMessage, res: ServerResponse): void {
  req.resume();
  req.once('end', () => res.writeHead(200, { 'Content-Type': 'text/plain' }).end('paid for'));
}

function record(req: IncomingMessage, seen: SeenRequest[]): void {
  const request = {
    method: req.method ?? '',
    url: req.url ?? '',
    headers: req.headers,
    rawHeaders: req.rawHeaders,
  };
  let body = '';
  const at = seen.push({ ...request, body }) - 1;
  req.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1');
    seen[at] = { ...request, body };
  });
}

/** The macaroon and the preimage of an Authorization value. */
export function partsOf(authorization: string): { readonly macaroon: Macaroon; readonly preimage: string } {
  const [macaroon = '', preimage = ''] = authorization.slice(authorization.indexOf(' ') + 1).split(':');
  return { macaroon: macaroonFromText(macaroon), preimage };
}

/** The terms that a credential or a challenge's macaroon was minted with. */
export function termsOf(authorization: string): Terms {
  const reading = readTerms(partsOf(authorization).macaroon.caveats);
  if (reading.kind !== 'terms') throw new Error(`no terms: ${reading.reason}`);
  return reading.minted;
}

/** Appends caveats as any holder can: each signs the one before (go-macaroon does the same). */
export function append(macaroon: Macaroon, ...caveats: readonly string[]): Macaroon {
  let { signature } = macaroon;
  for (const caveat of caveats) signature = createHmac('sha256', signature).update(caveat).digest();
  return { ...macaroon, caveats: [...macaroon.caveats, ...caveats], signature };
}

/** A credential narrowed, or widened, by appended caveats. */
export function appended(authorization: string, ...caveats: readonly string[]): string {
  const { macaroon, preimage } = partsOf(authorization);
  return `L402 ${macaroonToBase64(append(macaroon, ...caveats))}:${preimage}`;
}

/** The account of a credential, as the store has it. */
export async function accountOf(gateway: TestGateway, authorization: string): Promise<Account> {
  const account = await gateway.store.account(termsOf(authorization).accountId);
  if (account === undefined) throw new Error('the account is not there');
  return account;
}

/** What is left on the account of a credential, msat. */
export async function balanceOf(gateway: TestGateway, authorization: string): Promise<number> {
  return (await accountOf(gateway, authorization)).balanceMsat;
}

/** Waits for something that another party does in its own time; fails after `forMs`. */
export async function eventually(what: () => boolean | Promise<boolean>, forMs = 10_000): Promise<void> {
  const endMs = performance.now() + forMs;
  while (!(await what())) {
    if (performance.now() > endMs) throw new Error(`it did not happen within ${forMs} ms: ${what}`);
    // Not the next turn: other processes need the machine to get there.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The gateway's port, for tests that write raw bytes. */
export function portOf(gateway: TestGateway): number {
  return Number(new URL(gateway.url).port);
}
