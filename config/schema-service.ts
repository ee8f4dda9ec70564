import { METHODS } from 'node:http';
import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { parseRoutePattern } from '../gateway/flow/route-pattern.ts';
import { nearestWord } from '../gateway/pricing/nearest.ts';
import { chargeOn } from './charge-on.ts';
import { meteringKeys } from './schema-metering.ts';
import {
  durationMs,
  durationSec,
  price,
  type Refused,
  reference,
  sizeBytes,
  text,
  written,
  yesNo,
} from './values.ts';

/** Methods that a service can name. HEAD is priced as GET; CONNECT and TRACE are never let through. */
const SOLD_METHODS = METHODS.filter((method) => !['HEAD', 'CONNECT', 'TRACE'].includes(method));

const name = written((value): string | Refused =>
  /^[a-z0-9-]{1,64}$/.test(value)
    ? value
    : {
        problem: 'is not a name',
        remedy: 'use small letters, digits and `-`, at most 64 (`_` would end the name inside a token)',
      },
);

const host = written((value): string | Refused => {
  const remedy =
    'write a host name without scheme, port and path: `api.example.com`, or `*.example.com` for all below it';
  if (/^\[[0-9a-f:.]{2,45}\]$/i.test(value)) return value.toLowerCase();
  const bare = value.startsWith('*.') ? value.slice(2) : value;
  if (/[/:@?#*\s]/.test(bare)) return { problem: 'is not a host name', remedy };
  const ascii = domainToASCII(bare).replace(/\.$/, '');
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(ascii) || ascii.length > 253)
    return { problem: 'is not a host name', remedy };
  return value.startsWith('*.') ? `*.${ascii}` : ascii;
});

const path = written((value): string | Refused => {
  try {
    parseRoutePattern(value);
    return value;
  } catch (error) {
    return {
      problem: 'is not a path pattern',
      remedy: error instanceof Error ? error.message : 'write `/quote` or `/pack/*`',
    };
  }
});

const method = written((value): string | Refused => {
  const upper = value.toUpperCase();
  if (SOLD_METHODS.includes(upper)) return upper;
  if (upper === 'HEAD')
    return { problem: 'is not a method to name', remedy: 'write `GET`: HEAD is priced as GET' };
  return {
    problem: 'is not a method that can be sold',
    remedy: `write for example \`${nearestWord(upper, SOLD_METHODS) ?? 'GET'}\``,
  };
});

/** The upstream's URL; what it may not hold is refused without repeating it, because it may be a password. */
export const upstream = written((value): string | Refused => {
  const remedy = 'write scheme, host and port, and a base path if there is one: `http://127.0.0.1:3000`';
  if (!URL.canParse(value)) return { problem: 'is not a URL', remedy };
  const url = new URL(value);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return { problem: 'is not an http or https URL', remedy };
  if (url.username !== '' || url.password !== '') {
    return {
      problem: 'holds a user name or password',
      remedy: `take it out and send it with \`requestHeaders: { authorization: "${reference('UPSTREAM_AUTH')}" }\``,
    };
  }
  if (url.search !== '' || url.hash !== '') return { problem: 'holds a query or a fragment', remedy };
  return url.href.replace(/\/$/, '');
});

const prefix = written((value): string | Refused => {
  const remedy = 'write a plain path without parameters: `/v1`';
  if (!value.startsWith('/')) return { problem: 'does not begin with `/`', remedy };
  try {
    if (parseRoutePattern(value).every((part) => part.kind === 'literal')) return value;
    return { problem: 'holds a parameter or `*`', remedy };
  } catch (error) {
    return { problem: 'is not a path', remedy: error instanceof Error ? error.message : remedy };
  }
});

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/** Headers that frame a message or belong to one connection, and those that have a key of their own. */
const OWN_HEADERS = new Set([
  ...[
    'connection',
    'content-length',
    'expect',
    'host',
    'http2-settings',
    'keep-alive',
    'l402-account',
    'l402-paid-msat',
  ],
  ...['proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
]);

const headerName = z.string().superRefine((value, context) => {
  if (!HEADER_NAME.test(value)) {
    context.addIssue({
      code: 'custom',
      message: 'is not the name of a header',
      params: { remedy: 'use letters, digits and `-`' },
    });
  } else if (OWN_HEADERS.has(value.toLowerCase())) {
    context.addIssue({
      code: 'custom',
      message: 'is a header that the gateway sets itself',
      params: { remedy: value.toLowerCase() === 'host' ? 'use `upstreamHost`' : 'leave it out' },
    });
  }
});

const credentialHeader = written((value): string | Refused => {
  const lower = value.toLowerCase();
  if (!HEADER_NAME.test(lower) || OWN_HEADERS.has(lower) || lower === 'authorization' || lower === 'cookie') {
    return {
      problem: 'is not a header for the credential',
      remedy: 'name one of your own, for example `x-l402`',
    };
  }
  return lower;
});

const capabilities = written((value): string | Refused =>
  /^[a-z0-9_-]{1,64}(,[a-z0-9_-]{1,64}){0,15}$/.test(value)
    ? value
    : {
        problem: 'is not a list of capabilities',
        remedy: 'write names of small letters, digits, `_` and `-` with commas: `read,write`',
      },
);

const timeouts = z.strictObject({
  connect: durationMs('10ms', '10m')
    .prefault('5s')
    .describe('Until the connection to the upstream stands; then 502.'),
  headers: durationMs('10ms', '24h')
    .prefault('60s')
    .describe("Until the upstream's answer begins; then 504, and the call is not charged."),
  idle: durationMs('10ms', '24h')
    .prefault('120s')
    .describe('Without a byte from the upstream, in the middle of an answer; then it is cut.'),
});

/** One entry of `services`. */
export const serviceSchema = z.strictObject({
  name: name
    .describe(
      'Name of what is sold: small letters, digits and `-`. It is part of every token, so renaming a service voids its credit.',
    )
    .meta({ written: ['quote'] }),
  host: host
    .optional()
    .describe(
      'Host that this service answers for: `api.example.com`, or `*.example.com` for every host below it. Without it: every host that no other service names.',
    ),
  path: path
    .prefault('/*')
    .describe(
      'Path: literal segments, `:name` for one segment, a final `*` for everything below. The most specific path wins, whatever the order in the file.',
    )
    .meta({ written: ['/quote', '/pack/*', '/users/:id'] }),
  ignoreCase: yesNo
    .prefault(false)
    .describe(
      'Match the letters of the path in either case. For an upstream that does not tell `/Quote` from `/quote`, so that neither goes round the price.',
    ),
  methods: oneOrMany(method)
    .optional()
    .describe('Methods that this service answers. Without it: all. GET also means HEAD.')
    .meta({ written: ['GET', ['GET', 'POST']] }),
  price: price
    .describe(
      'What it costs: `free`, `10 sat` (a call), `500 sat for 100 calls` (a bundle), `1000 sat for 24h` (a pass), or metered: `100 msat/second`, `10 msat/KB`, `1 sat/event`, `3 sat/1k tokens` (as the upstream reports them). The whole grammar is in docs/prices.md.',
    )
    .meta({ written: ['10 sat', '500 sat for 100 calls', '1000 sat for 24h', '100 msat/second', 'free'] }),
  ...meteringKeys,
  upstream: upstream
    .optional()
    .describe(
      'Where requests go: scheme, host, port and an optional base path. Without it: the `upstream` at the top of the file.',
    )
    .meta({ written: ['http://127.0.0.1:3000'] }),
  stripPrefix: prefix
    .optional()
    .describe('Removed from the front of the path before the request goes to the upstream.')
    .meta({ written: ['/v1'] }),
  addPrefix: prefix
    .optional()
    .describe('Put in front of the path, after `stripPrefix`.')
    .meta({ written: ['/internal'] }),
  requestHeaders: z
    .record(headerName, text(8_000))
    .prefault({})
    .describe(
      `Headers set on the request to the upstream; they replace the client's. Take secrets from \`${reference('NAME')}\` or \`${reference('file:/path')}\`.`,
    )
    .meta({ written: [{ authorization: `Bearer ${reference('UPSTREAM_KEY')}` }] }),
  upstreamHost: z
    .enum(['upstream', 'preserve'])
    .prefault('upstream')
    .describe("Host header that the upstream sees: its own (`upstream`) or the client's (`preserve`)."),
  chargeOn: chargeOn
    .prefault(['2xx', '3xx', '4xx except 429'])
    .describe(
      'Answers of the upstream that are charged: a list of `2xx`, `404`, `400-428`, `4xx except 429`. Every other answer gives the call back.',
    ),
  validFor: durationSec('1m', '3650 days')
    .prefault('30 days')
    .describe('How long bought credit lives. A pass lives as long as its price says.'),
  capabilities: capabilities
    .prefault('all')
    .describe('Written into the `_capabilities` caveat of its tokens.'),
  credentialHeader: credentialHeader
    .optional()
    .describe(
      "A header of its own in which the credential may stand, so that the client's `Authorization` can go to the upstream.",
    )
    .meta({ written: ['x-l402'] }),
  credentialInQuery: yesNo
    .prefault(false)
    .describe(
      'Accept the credential in the query as `?t=`. URLs end up in logs and histories: only where a client knows nothing but a URL.',
    ),
  session: yesNo
    .prefault(false)
    .describe(
      'Let browsers pay with a session cookie (`POST /.l402/session`), for `<video>`, `<img>` and links, which can send no credential. GET and HEAD only. Needs HTTPS, except on localhost.',
    ),
  cacheControl: text(200)
    .prefault('private, no-store')
    .describe(
      "Cache-Control of paid answers, so that no shared cache serves them to the next visitor unpaid. `upstream` leaves the upstream's own.",
    ),
  timeouts: timeouts.prefault({}).describe('How long the upstream may take.'),
  maxBody: sizeBytes('0 bytes', '1000 GB')
    .prefault('1GB')
    .describe('Largest request body; more is refused with 413. Bodies are streamed, never held in memory.'),
});

/** One entry of `services` as it is read. */
export type ServiceFile = z.output<typeof serviceSchema>;

/** A list, or the one thing of it. */
export function oneOrMany<T, I>(item: z.ZodType<T, I>): z.ZodType<readonly T[], I | I[]> {
  return z.union([z.array(item).min(1).max(1_000), item.transform((only): T[] => [only])]);
}
