import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import bolt11 from 'bolt11';
import { createLndWallet } from '../../client/index.ts';
import type { FullWallet } from '../../client/wallet.ts';

const PRIVATE_KEY = 'e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734';
const BECH32 = { mainnet: 'bc', testnet: 'tb', signet: 'tbs', regtest: 'bcrt' } as const;

export interface InvoiceTerms {
  readonly paymentHash: string;
  readonly amountMsat?: number;
  readonly network?: keyof typeof BECH32;
  readonly expirySec?: number;
  readonly createdAtSec?: number;
  readonly memo?: string;
}

/** A signed invoice, by the `bolt11` package: another implementation than the one under test. */
export function signInvoice(terms: InvoiceTerms): string {
  const network = {
    bech32: BECH32[terms.network ?? 'regtest'],
    pubKeyHash: 0x6f,
    scriptHash: 0xc4,
    validWitnessVersions: [0, 1],
  };
  const unsigned = bolt11.encode({
    network,
    ...(terms.amountMsat === undefined ? {} : { millisatoshis: String(terms.amountMsat) }),
    timestamp: terms.createdAtSec ?? Math.floor(Date.now() / 1000),
    tags: [
      { tagName: 'payment_hash', data: terms.paymentHash },
      { tagName: 'description', data: terms.memo ?? 'a test' },
      { tagName: 'expire_time', data: terms.expirySec ?? 600 },
      { tagName: 'min_final_cltv_expiry', data: 18 },
      { tagName: 'payment_secret', data: '11'.repeat(32) },
    ],
  });
  return bolt11.sign(unsigned, PRIVATE_KEY).paymentRequest ?? '';
}

/** A V2 macaroon with a signature of nothing: a client can't check it. */
export function makeMacaroon(paymentHash: string, caveats: readonly string[]): string {
  const field = (tag: number, data: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from(
        data.length < 128 ? [tag, data.length] : [tag, (data.length & 127) | 128, data.length >> 7],
      ),
      data,
    ]);
  const identifier = Buffer.concat([Buffer.alloc(2), Buffer.from(paymentHash, 'hex'), randomBytes(32)]);
  const list = caveats.flatMap((caveat) => [field(2, Buffer.from(caveat)), Buffer.of(0)]);
  const parts = [Buffer.of(2), field(1, Buffer.from('lsat')), field(2, identifier), Buffer.of(0)];
  return Buffer.concat([...parts, ...list, Buffer.of(0), field(6, randomBytes(32))]).toString('base64');
}

export function sha256(hex: string): string {
  return createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
}

/** What a payment does: settles; fails; settles, but its answer never comes; stays in flight; is not even noticed. */
export type PayMode = 'settle' | 'fail' | 'settle-silently' | 'in-flight' | 'lost';

/** A Lightning network of one node, over LND's REST API. */
export interface TestNode {
  readonly url: string;
  readonly wallet: FullWallet;
  /** Hashes in the order in which `/v2/router/send` was asked to pay them. */
  readonly paid: string[];
  /** Hashes in the order in which they were looked up. */
  readonly lookedUp: string[];
  readonly requests: { path: string; macaroon: string | undefined; body: string }[];
  mode: PayMode;
  feeMsat: number;
  /** Called when it was asked to pay. */
  onPay: () => void;
  newInvoice(terms: Omit<InvoiceTerms, 'paymentHash'>): { invoice: string; paymentHash: string };
  preimageOf(paymentHash: string): string;
  setState(paymentHash: string, state: 'SUCCEEDED' | 'FAILED' | 'IN_FLIGHT'): void;
  close(): Promise<void>;
}

export const NODE_MACAROON = '0201036c6e64';

export async function startNode(): Promise<TestNode> {
  const preimages = new Map<string, string>();
  const amounts = new Map<string, number>();
  const states = new Map<string, string>();
  const paymentOf = (hash: string) => ({
    payment_hash: hash,
    status: states.get(hash),
    value_msat: String(amounts.get(hash)),
    fee_msat: String(node.feeMsat),
    creation_time_ns: '1700000000000000000',
    payment_preimage: states.get(hash) === 'SUCCEEDED' ? preimages.get(hash) : '0'.repeat(64),
    failure_reason: states.get(hash) === 'FAILED' ? 'FAILURE_REASON_NO_ROUTE' : 'FAILURE_REASON_NONE',
  });
  const server = await listen(async (request, response, body) => {
    const url = new URL(request.url ?? '/', 'http://node');
    const macaroon = request.headers['grpc-metadata-macaroon'];
    node.requests.push({ path: url.pathname, macaroon: macaroon?.toString(), body });
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
    };
    if (macaroon !== NODE_MACAROON)
      return send(500, { code: 2, message: 'verification failed: macaroon 0201 mismatch' });
    if (url.pathname === '/v1/getinfo')
      return send(200, { chains: [{ chain: 'bitcoin', network: 'regtest' }] });
    if (url.pathname === '/v1/balance/channels')
      return send(200, { local_balance: { sat: '7', msat: '7500' } });
    if (url.pathname === '/v1/payments') return send(200, { payments: [...states.keys()].map(paymentOf) });
    if (url.pathname === '/v2/router/send') {
      const { payment_request: invoice } = JSON.parse(body);
      const hash = String(
        bolt11.decode(invoice, { bech32: 'bcrt', pubKeyHash: 0, scriptHash: 0, validWitnessVersions: [] })
          .tagsObject.payment_hash,
      );
      node.paid.push(hash);
      if (node.mode === 'lost') return;
      if (states.get(hash) === 'SUCCEEDED')
        return send(409, { error: { code: 6, message: 'invoice is already paid' } });
      states.set(
        hash,
        node.mode === 'fail' ? 'FAILED' : node.mode === 'in-flight' ? 'IN_FLIGHT' : 'SUCCEEDED',
      );
      node.onPay();
      if (node.mode === 'settle-silently') return;
      return send(200, { result: paymentOf(hash) });
    }
    const hash = Buffer.from(url.pathname.replace('/v2/router/track/', ''), 'base64url').toString('hex');
    node.lookedUp.push(hash);
    if (!states.has(hash)) return send(404, { code: 5, message: "payment isn't initiated", details: [] });
    send(200, { result: paymentOf(hash) });
  });
  const node: TestNode = {
    url: server.url,
    wallet: createLndWallet({ url: server.url, macaroon: NODE_MACAROON }),
    paid: [],
    lookedUp: [],
    requests: [],
    mode: 'settle',
    feeMsat: 0,
    onPay: () => undefined,
    newInvoice: (terms) => {
      const preimage = randomBytes(32).toString('hex');
      const paymentHash = sha256(preimage);
      preimages.set(paymentHash, preimage);
      amounts.set(paymentHash, terms.amountMsat ?? 0);
      return { invoice: signInvoice({ ...terms, paymentHash }), paymentHash };
    },
    preimageOf: (hash) => preimages.get(hash) ?? '',
    setState: (hash, state) => states.set(hash, state),
    close: server.close,
  };
  return node;
}

/** One thing that a test shop sells. */
export interface Ware {
  readonly service: string;
  /** What the invoice asks, msat. */
  readonly amountMsat: number;
  /** What one call takes, msat; 0 for a pass. */
  readonly perCallMsat: number;
  readonly price: string;
}

export const QUOTE: Ware = { service: 'quote', amountMsat: 10_000, perCallMsat: 10_000, price: '10000 msat' };
export const PACK: Ware = {
  service: 'pack',
  amountMsat: 40_000,
  perCallMsat: 10_000,
  price: '40000 msat for 4 calls',
};
export const PASS: Ware = {
  service: 'library',
  amountMsat: 200_000,
  perCallMsat: 0,
  price: '200000 msat for 600s',
};

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly status: number;
}

/** The parts of a 402 that a hostile shop bends. */
export interface Challenge402 {
  status: number;
  headers: Record<string, string | string[]>;
  body: string;
}

export interface ShopOptions {
  readonly node: TestNode;
  readonly wareOf?: (path: string) => Ware | undefined;
  /** Replaces terms of each invoice. */
  readonly invoice?: Partial<InvoiceTerms>;
  /** Bends each 402. */
  readonly bend?: (challenge: Challenge402) => void;
  /** Answers before anything else; `true` when it did. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Refuses every credential. */
  readonly refuses?: boolean;
  /** Called when a call was charged, before its answer; `true` when it took the answer over. */
  readonly onCharged?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** A gateway in miniature: 402 as the wire form says, accounts in memory, free repeats under an Idempotency-Key. */
export interface TestShop {
  readonly origin: string;
  readonly seen: SeenRequest[];
  close(): Promise<void>;
}

export async function startShop(options: ShopOptions): Promise<TestShop> {
  const balances = new Map<string, number>();
  const charged = new Set<string>();
  const wareOf = options.wareOf ?? (() => QUOTE);
  const seen: SeenRequest[] = [];
  const spend = (ware: Ware, authorization: string, key: string): number | undefined => {
    const [, macaroon = '', preimage = ''] = /^L402 ([^:]+):([0-9a-f]{64})$/.exec(authorization) ?? [];
    const bytes = Buffer.from(macaroon, 'base64');
    const isBound = bytes.includes(Buffer.from(sha256(preimage), 'hex'));
    if (options.refuses === true || !isBound || !bytes.includes(`services=${ware.service}:0`))
      return undefined;
    const balance = balances.get(macaroon) ?? ware.amountMsat;
    if (charged.has(macaroon + key)) return balance;
    if (balance < ware.perCallMsat) return undefined;
    charged.add(macaroon + key);
    balances.set(macaroon, balance - ware.perCallMsat);
    return balance - ware.perCallMsat;
  };
  const server = await listen((request, response, body) => {
    if (options.intercept?.(request, response) === true) return;
    const path = new URL(request.url ?? '/', 'http://shop').pathname;
    const ware = wareOf(path);
    const { authorization = '', 'idempotency-key': key } = request.headers;
    const balance =
      ware === undefined ? 0 : spend(ware, authorization, String(key ?? randomBytes(8).toString('hex')));
    const note = (status: number): void => {
      seen.push({ method: request.method ?? '', path, headers: request.headers, body, status });
    };
    if (ware !== undefined && balance === undefined) {
      const challenge = makeChallenge(options, ware);
      options.bend?.(challenge);
      note(challenge.status);
      response.writeHead(challenge.status, challenge.headers).end(challenge.body);
      return;
    }
    note(200);
    if (options.onCharged?.(request, response) === true) return;
    response
      .writeHead(200, { 'l402-balance-msat': String(balance) })
      .end(`sold ${path}${body === '' ? '' : ` for ${body}`}`);
  });
  return { origin: server.url, seen, close: server.close };
}

function makeChallenge(options: ShopOptions, ware: Ware): Challenge402 {
  const { invoice, paymentHash } = options.node.newInvoice({
    amountMsat: ware.amountMsat,
    memo: ware.service,
    ...options.invoice,
  });
  const { service } = ware;
  const macaroon = makeMacaroon(paymentHash, [
    `services=${service}:0`,
    `${service}_capabilities=all`,
    `${service}_valid_until=${Math.floor(Date.now() / 1000) + 3600}`,
    `${service}_account=${randomBytes(16).toString('hex')}`,
    `${service}_credit_msat=${ware.perCallMsat === 0 ? 0 : ware.amountMsat}`,
    `${service}_price=${ware.price}`,
  ]);
  return {
    status: 402,
    headers: {
      'www-authenticate': `L402 macaroon="${macaroon}", invoice="${invoice}", version="0", token="${macaroon}"`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ macaroon, invoice, paymentHash, amountMsat: ware.amountMsat }),
  };
}

/** A server on a free port; closing it cuts what hangs. */
export async function listen(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void | Promise<void>,
): Promise<{ readonly url: string; readonly server: Server; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    await answer(request, response, Buffer.concat(chunks).toString());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, server, close };
}
