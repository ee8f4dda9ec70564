import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { parseLndConnect } from '../node/lndconnect.ts';
import { NodeError } from '../node/node.ts';
import { parseSocksProxy } from '../node/socks.ts';
import { oneOrMany, serviceSchema, upstream } from './schema-service.ts';
import { store } from './schema-store.ts';
import {
  address,
  amountMsat,
  durationMs,
  durationSec,
  number,
  type Refused,
  reference,
  sizeBytes,
  text,
  written,
  yesNo,
} from './values.ts';

/** More than any machine has cores. */
const MAX_WORKERS = 256;

const file = text(1_000);

const listener = z.union([
  address.transform((at) => ({ address: at, tls: undefined })),
  z.strictObject({
    address: address
      .describe('Address and port: `0.0.0.0:443`, `[::]:443`, `:443` for every address.')
      .meta({ written: [':443'] }),
    tls: z
      .strictObject({
        cert: file
          .describe('PEM file of the certificate and its chain.')
          .meta({ written: ['/etc/sluice/tls.crt'] }),
        key: file.describe('PEM file of the private key.').meta({ written: ['/etc/sluice/tls.key'] }),
      })
      .optional()
      .describe('Serve HTTPS with these files; they are read again when they change.'),
  }),
]);

/** The URL of a node's REST surface: an origin, without a password. */
const nodeUrl = written((value): string | Refused => {
  const remedy = 'write scheme, host and port: `https://127.0.0.1:8080`';
  if (!URL.canParse(value)) return { problem: 'is not a URL', remedy };
  const url = new URL(value);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return { problem: 'is not an http or https URL', remedy };
  if (url.username !== '' || url.password !== '') return { problem: 'holds a user name or password', remedy };
  return url.href.replace(/\/$/, '');
});

/** LND's gRPC listener, which speaks TLS only. */
const grpcUrl = written((value): string | Refused => {
  const remedy = 'write scheme, host and port: `https://127.0.0.1:10009`';
  const url = URL.parse(value);
  if (url?.protocol !== 'https:') return { problem: 'is not an https URL', remedy };
  if (url.href !== `${url.origin}/`) return { problem: 'holds more than scheme, host and port', remedy };
  return url.origin;
});

/** A SOCKS5 proxy that resolves names itself. */
const socksProxy = written((value): string | Refused => {
  try {
    parseSocksProxy(value);
    return value;
  } catch {
    return {
      problem: 'is not a SOCKS5 proxy that resolves names itself',
      remedy: 'write scheme, host and port: `socks5h://127.0.0.1:9050`',
    };
  }
});

const macaroon = written((value): string | Refused =>
  /^([0-9a-fA-F]{2}){16,2048}$/.test(value)
    ? value.toLowerCase()
    : {
        problem: 'is not a macaroon in hex',
        remedy: `write its hex digits (\`xxd -p -c 9999 FILE\`), best through \`${reference('NAME')}\`, or name its file with \`macaroonFile\``,
      },
);

const simulatedNode = z.strictObject({
  type: z.literal('simulated').describe('A Lightning network of play money.'),
  url: nodeUrl
    .optional()
    .describe(
      'A simulated network served elsewhere (`sluice simnet`). Without it: one in this process, kept in the data folder.',
    )
    .meta({ written: ['http://127.0.0.1:8404'] }),
  macaroon: macaroon.optional().describe('Hex macaroon of the wallet at `url`.'),
  port: number(0, 65_535)
    .optional()
    .describe(
      'Port of the LND REST surface of the network in this process, on 127.0.0.1. Without it: 8404, or a free one when that is taken.',
    )
    .meta({ written: [8404] }),
  latency: durationMs('0ms', '60s').prefault('0ms').describe('How long each payment takes.'),
  failureRate: number(0, 1, 'any')
    .prefault(0)
    .describe('Share of payments that fail with "no route", 0 to 1.'),
});

const lndNode = z.strictObject({
  type: z.literal('lnd').describe('A node of your own: LND, over its REST interface.'),
  url: nodeUrl.describe("URL of LND's REST listener.").meta({ written: ['https://127.0.0.1:8080'] }),
  grpcUrl: grpcUrl
    .optional()
    .describe(
      'URL of its gRPC listener: invoices are then made there, which costs LND a fifth less. With the certificate and the macaroon of `url`.',
    )
    .meta({ written: ['https://127.0.0.1:10009'] }),
  tlsCertFile: file
    .optional()
    .describe("LND's own certificate (`tls.cert`), which is then the only one trusted.")
    .meta({ written: ['/var/lib/lnd/tls.cert'] }),
  macaroonFile: file
    .optional()
    .describe('A macaroon file; `invoice.macaroon` is enough to sell.')
    .meta({ written: ['/var/lib/lnd/data/chain/bitcoin/mainnet/invoice.macaroon'] }),
  macaroon: macaroon
    .optional()
    .describe('The macaroon itself in hex, in place of `macaroonFile`.')
    .meta({ written: [reference('LND_MACAROON')] }),
  network: z
    .enum(['mainnet', 'testnet', 'signet', 'regtest'])
    .optional()
    .describe('Refuse to start when the node is on another network.'),
  clientCertFile: file
    .optional()
    .describe(
      'PEM file of a certificate that is shown to a proxy in front of LND which asks for one; read again with each connection.',
    )
    .meta({ written: ['/etc/sluice/node-client.crt'] }),
  clientKeyFile: file
    .optional()
    .describe('PEM file of its private key.')
    .meta({ written: ['/etc/sluice/node-client.key'] }),
  socksProxy: socksProxy
    .optional()
    .describe("Connect through this SOCKS5 proxy, which resolves the node's name: Tor.")
    .meta({ written: ['socks5h://127.0.0.1:9050'] }),
  privateHints: yesNo
    .prefault(false)
    .describe(
      'Put hints at channels that are not announced into invoices, so that they can be paid over those.',
    ),
});

/** `node: lndconnect://…`, as node managers show it to wallets: address, certificate and macaroon in one. */
const lndConnect = z
  .string()
  .transform((value, context): z.output<typeof lndNode> & { tlsCertPem?: string } => {
    if (!value.startsWith('lndconnect:')) {
      context.addIssue({ code: 'invalid_value', values: ['lndconnect://…'], input: value });
      return z.NEVER;
    }
    try {
      return { type: 'lnd', ...parseLndConnect(value), privateHints: false };
    } catch (error) {
      context.addIssue({
        code: 'custom',
        // Says what is wrong, and nothing of what stands there: it is a secret.
        message: `can't be used: ${error instanceof NodeError ? error.message : 'it is damaged'}`,
        params: { remedy: `paste it whole, best through \`${reference('LNDCONNECT')}\`` },
      });
      return z.NEVER;
    }
  });

/** `node: simulated` is short for `node: { type: simulated }`. */
const node = z.union([
  z
    .literal('simulated')
    .transform((type) => ({ type }))
    .pipe(simulatedNode),
  lndConnect,
  z.discriminatedUnion('type', [simulatedNode, lndNode]),
]);

const workers = z.union([z.literal('auto'), number(1, MAX_WORKERS)]);

const masterKey = written((value): string | Refused =>
  /^[0-9a-fA-F]{64}$/.test(value)
    ? value.toLowerCase()
    : {
        problem: 'is not a key',
        remedy: `write 64 hex digits (\`openssl rand -hex 32\`), best through \`${reference('NAME')}\` or \`${reference('file:/path')}\``,
      },
);

const proxy = written((value): string | Refused => {
  const [host = '', bits, ...more] = value.split('/');
  const version = isIP(host);
  const most = version === 6 ? 128 : 32;
  const legal =
    version !== 0 &&
    more.length === 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
  if (!legal)
    return {
      problem: 'is not an address or a CIDR block',
      remedy: 'write for example `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`',
    };
  new BlockList().addSubnet(host, bits === undefined ? most : Number(bits), version === 6 ? 'ipv6' : 'ipv4');
  return value;
});

const origin = written((value): string | Refused => {
  if (value === '*') return value;
  const legal = URL.canParse(value) && new URL(value).origin === value.toLowerCase();
  return legal
    ? value.toLowerCase()
    : {
        problem: 'is not an origin',
        remedy: 'write `*`, or scheme, host and port as a browser sends them: `https://app.example.com`',
      };
});

const limits = z.strictObject({
  maxHeaderSize: sizeBytes('4KB', '1MB')
    .prefault('32KB')
    .describe('Largest head of a request (a credential takes up to 8 KB); more is refused with 431.'),
  maxHeaders: number(20, 2_000).prefault(100).describe('Most header fields of a request.'),
  maxUrl: sizeBytes('256 bytes', '64KB')
    .prefault('16KB')
    .describe('Longest request target; more is refused with 414.'),
  maxConnections: number(1, 1_000_000).prefault(20_000).describe('Most client connections at a time.'),
  headersTimeout: durationMs('100ms', '10m').prefault('15s').describe("Until a request's head is complete."),
  keepAliveTimeout: durationMs('100ms', '1h')
    .prefault('65s')
    .describe(
      'How long an idle client connection stays open. Above the idle time of a load balancer in front, or it meets closed connections.',
    ),
  idleTimeout: durationMs('1s', '24h')
    .prefault('120s')
    .describe('A client that sends or takes nothing for so long in the middle of a request is cut.'),
  credentialCache: sizeBytes('0 bytes', '10GB')
    .prefault('32MB')
    .describe('Memory for credentials already verified.'),
});

const invoicePool = z.strictObject({
  size: number(1, 1_000)
    .describe('Most invoices kept ready for one price.')
    .meta({ written: [50] }),
  refillBelow: number(1, 1_000)
    .optional()
    .describe('With fewer than these at hand, more are made, up to `size`. Without it: half of `size`.')
    .meta({ written: [25] }),
});

const challenge = z.strictObject({
  invoiceExpiry: durationSec('30s', '24h').prefault('10m').describe('How long an invoice can be paid.'),
  minInvoice: amountMsat
    .prefault('1 sat')
    .describe(
      'Smallest invoice. What a cheaper call does not use stays as credit. Some wallets pay nothing under 1 sat.',
    ),
  memo: text(300).optional().describe('Begins the memo of every invoice. Without it: the `title`.'),
  burst: number(1, 1_000_000)
    .prefault(20)
    .describe('Challenges that one client address may ask for at once; more are refused with 429.'),
  perMinute: number(1, 1_000_000)
    .prefault(60)
    .describe('Challenges that come back to a client address each minute.'),
  shared: yesNo
    .prefault(false)
    .describe(
      'Count `burst`, `perMinute` and `maxPerClient` at all gateways on the store together, in Redis. Without it each gateway counts by itself, so that a client may have as many times as much as there are gateways.',
    ),
  maxOutstanding: number(1, 10_000_000).prefault(10_000).describe('Most unpaid invoices outstanding in all.'),
  reserved: number(0, 0.9, 'any')
    .prefault(0.2)
    .describe(
      'Share of `maxOutstanding` kept for accounts that have paid, so that an attacker cannot stop the sales.',
    ),
  maxPerClient: number(1, 1_000_000)
    .prefault(100)
    .describe('Most unpaid invoices outstanding for one client address.'),
  nodeConcurrency: number(1, 1_000).prefault(16).describe('Requests to the node under way at a time.'),
  nodeTimeout: durationMs('100ms', '5m').prefault('10s').describe('How long the node may take; then 503.'),
  legacyLsat: yesNo
    .prefault(false)
    .describe('Also send the old `LSAT` challenge. Several clients would prefer it.'),
  invoicePool: invoicePool
    .optional()
    .describe(
      'Make invoices of fixed prices ahead, in the background, so that a 402 does not wait for the node and goes on through a short outage of it. Without it: each invoice is made when it is asked for.',
    )
    .meta({ written: [{ size: 50, refillBelow: 25 }] }),
});

const topUp = z.strictObject({
  min: amountMsat
    .prefault('1 sat')
    .describe('Smallest top-up; never less than `challenge.minInvoice` and what the node can take.'),
  max: amountMsat
    .prefault('100000 sat')
    .describe('Largest top-up. What a service sells at once may be bought even if it is more.'),
  maxOpen: number(1, 100).prefault(3).describe('Top-ups of one account that may be unpaid at a time.'),
});

/** What a person may write in sluice.yaml. Every key has a description: the reference and the editor schema are made from them. */
export const fileSchema = z.strictObject({
  listen: oneOrMany(listener)
    .prefault('127.0.0.1:8402')
    .describe(
      'Where clients come in: `127.0.0.1:8402`, `:8402` for every address, a list, or entries with `address` and `tls`.',
    )
    .meta({
      written: [
        '127.0.0.1:8402',
        [{ address: ':443', tls: { cert: '/etc/sluice/tls.crt', key: '/etc/sluice/tls.key' } }],
      ],
    }),
  admin: address
    .prefault('127.0.0.1:8403')
    .describe('Where the operator comes in: metrics, health, admin API. Keep it off the internet.'),
  data: text(1_000)
    .prefault('./.sluice')
    .describe(
      'Folder for what must survive a restart: master key, ledger, admin token. Relative to this file.',
    ),
  title: text(100).prefault('Sluice').describe('Name of this gateway on invoices and pages.'),
  upstream: upstream
    .optional()
    .describe('Where requests go for services that have no `upstream` of their own.')
    .meta({ written: ['http://127.0.0.1:3000'] }),
  services: z
    .array(serviceSchema)
    .min(1)
    .max(1_000)
    .describe('What is sold, and what is given away. A request that no service matches is answered with 404.')
    .meta({ written: [[{ name: 'api', path: '/*', price: '10 sat', upstream: 'http://127.0.0.1:3000' }]] }),
  node: node
    .prefault({ type: 'simulated' })
    .describe('The Lightning node that receives the money.')
    .meta({
      written: [
        { type: 'simulated' },
        {
          type: 'lnd',
          url: 'https://127.0.0.1:8080',
          tlsCertFile: 'tls.cert',
          macaroonFile: 'invoice.macaroon',
        },
      ],
    }),
  store: store
    .prefault({ type: 'sqlite' })
    .describe('Where balances are kept. Short: `sqlite`, `redis://HOST:PORT`, `memory`.')
    .meta({ usual: { type: 'sqlite' }, written: [{ type: 'redis', url: 'redis://127.0.0.1:6379' }] }),
  workers: workers
    .prefault(1)
    .describe(
      'Processes that serve clients, on one machine and one ledger: a number, or `auto` for one a core. With 1 a single process does everything; with more, one more process watches over them.',
    )
    .meta({ written: [4, 'auto'] }),
  masterKeys: oneOrMany(masterKey)
    .optional()
    .describe(
      'Keys that sign tokens, 64 hex digits each, newest first: the first mints, all verify. Without it: one is made at first start and kept in the data folder.',
    )
    .meta({ written: [[reference('SLUICE_MASTER_KEY')]] }),
  trustedProxies: oneOrMany(proxy)
    .optional()
    .describe(
      'Proxies in front whose `X-Forwarded-For` is believed: addresses or CIDR blocks. From everybody else it is ignored.',
    )
    .meta({ written: [['10.0.0.0/8']] }),
  identitySecret: text(1_000)
    .optional()
    .describe(
      'Signs `L402-Account` and `L402-Paid-Msat` for the upstream, which tell it who paid. Without it they are sent unsigned.',
    )
    .meta({ written: [reference('SLUICE_IDENTITY_SECRET')] }),
  adminToken: text(256)
    .optional()
    .describe(
      'Bearer token of the admin listener, 32 to 256 letters, digits, `-` or `_`. Without it: one is made at first start and kept in the data folder. Set it where several gateways are scraped with one token.',
    )
    .meta({ written: [reference('SLUICE_ADMIN_TOKEN')] }),
  allowPlayMoney: yesNo
    .prefault(false)
    .describe(
      'Allow the simulated node on an address that others can reach. Everything is then given away for play money.',
    ),
  drainTimeout: durationMs('0s', '24h')
    .prefault('30s')
    .describe('How long requests under way may take after SIGTERM.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .prefault('info')
        .describe('Least important line that is written.'),
      format: z
        .enum(['json', 'pretty'])
        .prefault('json')
        .describe('`json` for machines, `pretty` for people.'),
    })
    .prefault({})
    .describe('The log, on stdout. It never holds a credential.'),
  limits: limits.prefault({}).describe('Bounds on what a client may do before it paid.'),
  challenge: challenge.prefault({}).describe('How invoices are made and how many.'),
  topUp: topUp.prefault({}).describe('How much may be added to an account at a time (`POST /.l402/topup`).'),
  cors: oneOrMany(origin)
    .prefault('*')
    .describe('Origins whose pages may call from a browser: `*` or a list.')
    .meta({ written: ['*', ['https://app.example.com']] }),
});

/** The file as it is read: defaults filled in, units resolved, nothing checked across keys yet. */
export type ConfigFile = z.output<typeof fileSchema>;

/** The file as it is written. */
export type ConfigFileInput = z.input<typeof fileSchema>;
