import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { signInvoice } from '../../../node/bolt11.ts';
import { createLndNode, type LndOptions } from '../../../node/lnd.ts';
import { msat } from '../../../node/msat.ts';
import { TLS_CERT, TLS_KEY } from './tls.ts';

/*
 * A node that answers whatever a test wants, over real sockets. Forms are those of LND 0.21.2 (protojson puts a blank after
 * a colon or comma at times; grpc-gateway sends the head of a stream with its first message).
 */

export const MACAROON = '0201036c6e64deadbeef';
const KEY = Buffer.alloc(32, 7);
export const HASH = 'ab'.repeat(32);
export const PREIMAGE = '11'.repeat(32);
export const PAID_HASH = createHash('sha256').update(Buffer.from(PREIMAGE, 'hex')).digest('hex');
export const NOW_SEC = 1_800_000_000;
export const REQUEST = { amountMsat: msat(10_000), memo: 'quote', expirySec: 600 };
export const ASKED = {
  amountMsat: msat(10_000),
  memo: 'quote',
  network: 'regtest',
  nowSec: NOW_SEC,
} as const;
export const PAY = { maxFeeMsat: msat(0), timeoutMs: 5_000 };

export type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export function invoice(terms: object): string {
  return signInvoice(
    {
      network: 'regtest',
      amountMsat: msat(10_000),
      paymentHash: HASH,
      paymentSecret: 'b2'.repeat(32),
      memo: 'quote',
      timestampSec: NOW_SEC,
      expirySec: 600,
      ...terms,
    },
    KEY,
  );
}

export function addInvoiceAnswer(terms: object) {
  return {
    r_hash: base64(HASH),
    payment_request: invoice(terms),
    add_index: '1',
    payment_addr: base64(HASH),
  };
}

export function settled(change: object) {
  return {
    memo: 'quote',
    state: 'SETTLED',
    r_hash: base64(PAID_HASH),
    r_preimage: base64(PREIMAGE),
    value_msat: '10000',
    amt_paid_msat: '10000',
    settle_date: String(NOW_SEC),
    settle_index: '1',
    is_amp: false,
    ...change,
  };
}

export function payment(change: object) {
  return {
    payment_hash: PAID_HASH,
    payment_preimage: PREIMAGE,
    value_msat: '10000',
    fee_msat: '3',
    status: 'SUCCEEDED',
    failure_reason: 'FAILURE_REASON_NONE',
    payment_request: '',
    creation_time_ns: '1800000000000000000',
    htlcs: [],
    ...change,
  };
}

export function json(code: number, body: unknown): Answer {
  return (_request, response) => void response.writeHead(code).end(spaced(body));
}

export function status(code: number, message: string, http = 500): Answer {
  return json(http, { code, message, details: [] });
}

/** What `/v1/getinfo` answers. */
export const INFO: Answer = json(200, {
  identity_pubkey: `02${'ab'.repeat(32)}`,
  alias: 'alice',
  block_height: 1,
  synced_to_chain: true,
  chains: [{ chain: 'bitcoin', network: 'regtest' }],
});

export function lines(...messages: object[]): Answer {
  return (_request, response) =>
    void response.end(messages.map((message) => `${spaced(message)}\n`).join(''));
}

/** JSON as protojson writes it in half of its builds. */
function spaced(body: unknown): string {
  return JSON.stringify(body, null, 1).replace(/\n\s*/g, ' ');
}

export function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

type Work = (node: ReturnType<typeof createLndNode>, seen: string[]) => Promise<void>;

export async function withNode(answer: Answer, work: Work, options: Partial<LndOptions> = {}): Promise<void> {
  const seen: string[] = [];
  const listen: Answer = (request, response, body) => {
    seen.push(`${request.method} ${request.url}`);
    answer(request, response, body);
  };
  const run = async (url: string) => {
    const nowMs = () => NOW_SEC * 1000;
    const node = createLndNode({
      url,
      macaroon: MACAROON,
      network: 'regtest',
      timeoutMs: 10_000,
      nowMs,
      ...options,
    });
    try {
      await work(node, seen);
    } finally {
      await node.close();
    }
  };
  await (options.tlsCertPem === undefined ? withHttp(listen, run) : withTls(listen, run));
}

export function withHttp(answer: Answer, run: (url: string) => Promise<void>): Promise<void> {
  return withServer(createServer(collect(answer)), 'http', run);
}

export function withTls(
  answer: Answer,
  run: (url: string) => Promise<void>,
  options: TlsOptions = {},
): Promise<void> {
  const server = createTlsServer({ cert: TLS_CERT, key: TLS_KEY, ...options }, collect(answer));
  return withServer(server, 'https', run);
}

async function withServer(
  server: ReturnType<typeof createServer>,
  scheme: string,
  run: (url: string) => Promise<void>,
): Promise<void> {
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await run(`${scheme}://127.0.0.1:${port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function collect(answer: Answer) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    answer(request, response, Buffer.concat(chunks).toString('utf8'));
  };
}
