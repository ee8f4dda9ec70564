import type { UsageTerms } from '../gateway/meter/usage/usage-terms.ts';
import type { Price } from '../gateway/pricing/price.ts';
import type { Msat } from '../node/msat.ts';
import type { Network } from '../node/node.ts';
import type { RedisServer } from './redis-url.ts';

/*
 * The configuration as the program uses it: every default filled in, every unit in the name, deeply frozen. Made only by
 * load.ts from a file, the environment and flags. schema.ts says what a person may write.
 */

/** Where to listen. */
export interface Listener {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** HTTPS with these PEM files, reread when they change. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

/** The simulated Lightning network. Play money. */
export interface SimulatedNodeConfig {
  readonly type: 'simulated';
  /** A simnet served elsewhere (`sluice simnet`); absent: run one in this process, in the data folder. */
  readonly url?: string;
  /** Macaroon (hex) of the wallet at `url`. */
  readonly macaroon?: string;
  /** Port of the LND REST surface of the in-process network, on 127.0.0.1. */
  readonly port: number;
  /** True when the operator chose `port`: then a port in use is an error, else another is taken. */
  readonly portChosen: boolean;
  /** Each payment takes this long, ms. */
  readonly latencyMs: number;
  /** Share of payments that fail with "no route", 0 to 1. */
  readonly failureRate: number;
}

export interface LndNodeConfig {
  readonly type: 'lnd';
  readonly url: string;
  /** Invoices are made there. */
  readonly grpcUrl?: string;
  readonly tlsCertFile?: string;
  /** The certificate itself, from an `lndconnect` URI. */
  readonly tlsCertPem?: string;
  readonly macaroonFile?: string;
  readonly macaroon?: string;
  readonly network?: Network;
  /** Shown to a server that asks for it; both or none. */
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  /** `socks5h://host:port`, perhaps with a password. */
  readonly socksProxy?: string;
  /** Invoices carry hints at channels that are not announced. */
  readonly privateHints?: boolean;
}

export type NodeConfig = SimulatedNodeConfig | LndNodeConfig;

/** TLS to Redis. Files are read when a connection is first made. */
export interface RedisTlsConfig {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name that the certificate must be for; absent: the host. */
  readonly servername?: string;
}

/** Where Redis is. */
export type RedisReach =
  | { readonly kind: 'single'; readonly server: RedisServer }
  | {
      readonly kind: 'sentinel';
      readonly sentinels: readonly RedisServer[];
      readonly master: string;
      readonly sentinelUsername?: string;
      readonly sentinelPassword?: string;
    }
  /** Some nodes of it. */
  | { readonly kind: 'cluster'; readonly nodes: readonly RedisServer[] };

/** A store in Redis. */
export interface RedisStoreConfig {
  readonly type: 'redis';
  readonly reach: RedisReach;
  readonly username?: string;
  readonly password?: string;
  /** 0 on a Cluster. */
  readonly database: number;
  /** Absent: no TLS. */
  readonly tls?: RedisTlsConfig;
  /** Begins every key and channel. */
  readonly keyPrefix: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** What must not be lost is acknowledged when so many replicas have it. */
  readonly wait?: { readonly replicas: number; readonly timeoutMs: number };
  /** Refuse to start where others would warn. */
  readonly strict: boolean;
  /** Redeemed passes are served so long while the store does not answer, ms. */
  readonly passGraceMs: number;
}

export interface SqliteStoreConfig {
  readonly type: 'sqlite';
  readonly file: string;
  /** `normal`: a power cut may forget the last spends, never a credit. `full`: every spend is on disk first. */
  readonly spendDurability: 'normal' | 'full';
  /** Redeemed passes are served so long while the store does not answer, ms. */
  readonly passGraceMs: number;
}

export type StoreConfig = { readonly type: 'memory' } | SqliteStoreConfig | RedisStoreConfig;

/** Which upstream answers are charged for. Statuses as inclusive ranges. */
export type StatusRanges = readonly (readonly [from: number, to: number])[];

/** How a metered price is charged. */
export interface MeteringConfig {
  /** What a challenge sells, msat. */
  readonly depositMsat: Msat;
  /** Time is charged ahead in slices of this, ms. */
  readonly sliceMs: number;
  /** An exhausted stream waits for credit so long, ms; 0 ends it at once. */
  readonly holdMs: number;
  /** The client is warned when its credit lasts for less than this, ms; 0: never. */
  readonly warnMs: number;
  /** Time: from the upstream's first byte on, or from the request on (long polls). */
  readonly chargeFrom: 'response' | 'request';
  /** Streams of one account at once; undefined: any number. */
  readonly maxStreams: number | undefined;
  /** `once`: the open streams of an account are charged for time as one. */
  readonly charge: 'each' | 'once';
  /** Bytes and events: which direction counts. */
  readonly count: 'response' | 'request' | 'both';
  /** A response leaves no faster, bytes a second. */
  readonly paceBytesPerSec?: number;
  /** A response of known length may leave faster than real time at a price a second. */
  readonly allowBurst: boolean;
  /** Units that the upstream reports: how they are learned. Present exactly when the price's unit is `unit`. */
  readonly usage?: UsageTerms;
}

/** One thing for sale: a match and a price. */
export interface ServiceConfig {
  /** `[a-z0-9-]+` */
  readonly name: string;
  /** Lower-case host name without port, or `*.example.com`; absent: any host that no other service names. */
  readonly host?: string;
  /** find-my-way pattern: `/quote`, `/pack/*`, `/users/:id`. */
  readonly path: string;
  /** Letters of the path match in either case: for an upstream that does not tell them apart. */
  readonly ignoreCase?: boolean;
  /** Upper case; absent: every method. GET also means HEAD. */
  readonly methods?: readonly string[];
  readonly price: Price;
  /** Present exactly when the price is metered. */
  readonly metering?: MeteringConfig;
  /** Origin and optional base path of the upstream. */
  readonly upstream: string;
  /** Removed from the front of the path before it is forwarded. */
  readonly stripPrefix?: string;
  /** Put in front of the path (after stripPrefix). */
  readonly addPrefix?: string;
  /** Set on the request to the upstream; replaces what the client sent. */
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Name of the Host header the upstream sees: the client's (`preserve`) or the upstream's own. */
  readonly upstreamHost: 'upstream' | 'preserve';
  readonly chargeOn: StatusRanges;
  /** How long bought credit lives, seconds. */
  readonly validForSec: number;
  /** Value of `<svc>_capabilities`. */
  readonly capabilities: string;
  /** A header of its own in which the credential may stand, so that Authorization can go to the upstream. Lower case. */
  readonly credentialHeader?: string;
  /** The credential may stand in `?t=`. */
  readonly credentialInQuery: boolean;
  /** Browsers may pay with a session cookie, which `POST /.l402/session` gives for a credential. */
  readonly session?: boolean;
  /** Cache-Control of paid answers; `upstream` leaves the upstream's own. */
  readonly cacheControl: string;
  readonly connectTimeoutMs: number;
  /** Until the upstream's response head, ms. */
  readonly headersTimeoutMs: number;
  /** Without a byte from the upstream, ms. */
  readonly idleTimeoutMs: number;
  /** Request bodies over this are refused with 413, bytes. */
  readonly maxBodyBytes: number;
}

/** Bounds on what a client may do before it paid. */
export interface LimitsConfig {
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  readonly maxUrlBytes: number;
  readonly maxConnections: number;
  /** Until a request's head is complete, ms. */
  readonly headersTimeoutMs: number;
  /** An idle kept-alive client connection is closed after, ms. */
  readonly keepAliveTimeoutMs: number;
  /** A client that reads or writes nothing for so long is cut, ms. */
  readonly clientIdleTimeoutMs: number;
  /** Bytes of verified credentials kept. */
  readonly credentialCacheBytes: number;
}

/** How challenges are made. */
export interface ChallengeConfig {
  readonly invoiceExpirySec: number;
  /** Invoices are at least this, msat. */
  readonly minInvoiceMsat: Msat;
  /** Begins the memo of every invoice. */
  readonly memo: string;
  /** Challenges a client address may ask at once, and how many come back a minute. */
  readonly burst: number;
  readonly perMinute: number;
  /** Clients are counted at all gateways on the store together. */
  readonly shared: boolean;
  /** Unpaid invoices outstanding in all, and the share of them kept for accounts that have paid (0 to 1). */
  readonly maxOutstanding: number;
  readonly reservedShare: number;
  /** Unpaid invoices outstanding for one client address. */
  readonly maxOutstandingPerClient: number;
  /** Requests under way to the node at once, and how long one may take, ms. */
  readonly nodeConcurrency: number;
  readonly nodeTimeoutMs: number;
  /** Also send the legacy `LSAT` line. */
  readonly legacyLsat: boolean;
  /** Invoices of fixed prices are made ahead; absent: each when it is asked for. */
  readonly invoicePool?: InvoicePoolConfig;
}

/** How many invoices are kept ready for each fixed price. */
export interface InvoicePoolConfig {
  readonly size: number;
  /** With fewer than these at hand, more are made, up to `size`. */
  readonly refillBelow: number;
}

/** Bounds on top-ups of an account. */
export interface TopUpConfig {
  /** Smallest and largest amount that may be asked for, msat. */
  readonly minMsat: Msat;
  readonly maxMsat: Msat;
  /** Top-ups of one account that may be unpaid at a time. */
  readonly maxOpen: number;
}

export interface Config {
  readonly listen: readonly Listener[];
  readonly admin: {
    readonly host: string;
    readonly port: number;
  };
  /** Absolute path. */
  readonly dataDir: string;
  /** Name of this gateway in invoices' memos and pages. */
  readonly title: string;
  readonly node: NodeConfig;
  readonly store: StoreConfig;
  /** Processes that serve clients; 1: this one does everything. */
  readonly workers: number;
  /** Hex, 32 bytes each, newest first; empty: made at first start in the data folder. */
  readonly masterKeys: readonly string[];
  /** Peers whose X-Forwarded-For is believed: addresses or CIDR blocks. */
  readonly trustedProxies: readonly string[];
  /** Bearer token of the admin listener; absent: made at first start in the data folder. */
  readonly adminToken?: string;
  /** Signs L402-Account and L402-Paid-Msat for the upstream; absent: they are sent unsigned. */
  readonly identitySecret?: string;
  readonly allowPlayMoney: boolean;
  /** Upstream answers may be waited for this long after SIGTERM, ms. */
  readonly drainTimeoutMs: number;
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
    readonly format: 'json' | 'pretty';
  };
  readonly limits: LimitsConfig;
  readonly challenge: ChallengeConfig;
  readonly topUp: TopUpConfig;
  /** Origins that browsers may call from: `*` or a list. */
  readonly corsOrigins: readonly string[];
  readonly services: readonly ServiceConfig[];
}
