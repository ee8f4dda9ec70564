import { parseRoutePattern, patternShape } from '../gateway/flow/route-pattern.ts';
import type { ModelRates } from '../gateway/meter/usage/model-rates.ts';
import { type Rates, ratesOfPrice, usageMsat } from '../gateway/meter/usage/rates.ts';
import { NO_USAGE } from '../gateway/meter/usage/usage.ts';
import { whyNotSellable } from '../gateway/pricing/sellable.ts';
import { isLoopbackHost } from '../node/loopback.ts';
import { formatMsat, msat, sats } from '../node/msat.ts';
import type { Config, LndNodeConfig, ServiceConfig } from './config.ts';
import type { Finding } from './problem.ts';
import { findWaysRound } from './ways-round.ts';

/** What is wrong across keys. Every finding, not the first. */
export function checkConfig(config: Config): readonly Finding[] {
  return [
    ...checkServices(config),
    ...checkListeners(config),
    ...checkPlayMoney(config),
    ...checkNode(config),
    ...checkWorkers(config),
    ...checkSecrets(config),
    ...checkTopUp(config),
    ...checkShared(config),
    ...checkInvoicePool(config),
  ];
}

/** What may be meant as it is, and is worth a second look. For a configuration that {@link checkConfig} finds nothing wrong with. */
export function warnConfig(config: Config): readonly string[] {
  const warnings = [...findWaysRound(config.services)];
  warnings.push(...config.services.flatMap(warnMetering));
  const cookie = config.services.find(({ session }) => session === true);
  if (cookie !== undefined && !isCookieSafe(config)) {
    warnings.push(
      `services: ${cookie.name} has \`session: true\`, but nothing here speaks HTTPS, so browsers get no cookie. Give a listener \`tls\`, or name the proxy that ends TLS in \`trustedProxies\``,
    );
  }
  if (config.store.type === 'memory') {
    warnings.push(
      'store: balances are in memory only; a restart forgets what was paid. Use `store: { type: sqlite }` to sell',
    );
  }
  if (!isLoopbackHost(config.admin.host)) {
    warnings.push(
      `admin: ${config.admin.host} can be reached from elsewhere, and its token travels in the clear. Listen on 127.0.0.1`,
    );
  }
  if (
    config.node.type === 'simulated' &&
    config.allowPlayMoney &&
    config.listen.some(({ host }) => !isLoopbackHost(host))
  ) {
    warnings.push('PLAY MONEY: the simulated node is on a public address, so everything is given away');
  }
  return warnings;
}

/** What l402-requests and lnget pay for a request unless they are told otherwise. */
const COMMON_CLIENT_LIMIT_MSAT = sats(1_000);
/** The read timeout of nginx and of many load balancers. */
const COMMON_READ_TIMEOUT_MS = 60_000;

function warnMetering({ name, price, metering }: ServiceConfig): readonly string[] {
  if (metering === undefined) return [];
  const warnings: string[] = [];
  const { depositMsat, holdMs, usage } = metering;
  if (depositMsat > COMMON_CLIENT_LIMIT_MSAT) {
    warnings.push(
      `services: ${name} has a deposit of ${formatMsat(depositMsat)}, and common clients (lnget, l402-requests) pay no more than ${formatMsat(COMMON_CLIENT_LIMIT_MSAT)} for a request. Sell less at once; clients top up`,
    );
  }
  if (holdMs >= COMMON_READ_TIMEOUT_MS) {
    warnings.push(
      `services: ${name} holds streams for ${holdMs / 1_000} s, and many proxies cut an answer that is silent for 60 s. Hold less than that, or raise their read timeout`,
    );
  }
  if (price.kind === 'metered' && usage?.kind === 'preset' && usage.bound === 'reserve') {
    const outputs = usage.models === undefined ? [ratesOfPrice(price)] : allRates(usage.models);
    const needed = outputs.map((rates) => usageMsat(rates, { ...NO_USAGE, output: usage.estimateUnits }));
    if (needed.some((amount) => amount > depositMsat)) {
      warnings.push(
        `services: ${name} sets aside ${usage.estimateUnits} ${usage.unitName} of output for a request without a bound, up to ${formatMsat(msat(Math.max(...needed)))}, and its deposit is ${formatMsat(depositMsat)}: such a request is refused after it was paid for. Raise \`deposit\`, lower \`usage.estimate\`, or use \`bound: rewrite\``,
      );
    }
  }
  return warnings;
}

function allRates({ exact, prefixes, others }: ModelRates): readonly Rates[] {
  return [
    ...exact.values(),
    ...prefixes.map(([, rates]) => rates),
    ...(others === undefined ? [] : [others]),
  ];
}

function checkShared({ challenge, store }: Config): readonly Finding[] {
  if (!challenge.shared || store.type === 'redis') return [];
  return [
    {
      path: ['challenge', 'shared'],
      problem: `needs a store in Redis, and the store is ${store.type}`,
      remedy: 'leave it out: the workers of one machine share the bounds between them',
    },
  ];
}

function checkInvoicePool({ challenge: { invoicePool: pool } }: Config): readonly Finding[] {
  if (pool === undefined || pool.refillBelow <= pool.size) return [];
  return [
    {
      path: ['challenge', 'invoicePool', 'refillBelow'],
      problem: 'is more than `size`',
      remedy: 'write a number from 1 to `size`, or leave it out',
    },
  ];
}

function checkServices({ services, listen, admin }: Config): readonly Finding[] {
  const findings: Finding[] = [];
  const names = new Map<string, number>();
  for (const [index, service] of services.entries()) {
    const at = (key: string): (string | number)[] => ['services', index, key];
    const twin = names.get(service.name);
    if (twin !== undefined) {
      findings.push({
        path: at('name'),
        problem: `is the name of services[${twin}] too`,
        remedy: 'give each service a name of its own',
      });
    }
    names.set(service.name, twin ?? index);
    const unsold = whyNotSellable(service.price);
    if (unsold !== undefined)
      findings.push({ path: at('price'), problem: 'can not be sold yet', remedy: unsold });
    findings.push(...checkUpstream(service, index, [...listen, admin]), ...checkPrefix(service, index));
  }
  return [...findings, ...checkEqualRoutes(services)];
}

function checkUpstream(
  { upstream }: ServiceConfig,
  index: number,
  own: readonly HostPort[],
): readonly Finding[] {
  if (upstream === '') {
    return [
      {
        path: ['services', index],
        problem: 'has no upstream',
        remedy: 'add `upstream: http://127.0.0.1:3000`, here or at the top of the file',
      },
    ];
  }
  const url = new URL(upstream);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const target = { host: url.hostname.replace(/^\[|\]$/g, ''), port };
  if (!own.some((listener) => reaches(target, listener))) return [];
  return [
    {
      path: ['services', index, 'upstream'],
      problem: 'is this gateway itself, so requests would go round for ever',
      remedy: 'name the address of the API that is sold, or listen on another port',
    },
  ];
}

interface HostPort {
  readonly host: string;
  readonly port: number;
}

function reaches(target: HostPort, { host, port }: HostPort): boolean {
  if (port === 0 || target.port !== port) return false;
  if (target.host === host) return true;
  const targetIsHere = isLoopbackHost(target.host) || isWildcard(target.host);
  return targetIsHere && (isLoopbackHost(host) || isWildcard(host));
}

function checkPrefix({ path, stripPrefix }: ServiceConfig, index: number): readonly Finding[] {
  if (stripPrefix === undefined) return [];
  const strip = parseRoutePattern(stripPrefix);
  const pattern = parseRoutePattern(path);
  const fits = strip.every((part, at) => {
    const own = pattern[at];
    return part.kind === 'literal' && own?.kind === 'literal' && own.text === part.text;
  });
  if (fits) return [];
  return [
    {
      path: ['services', index, 'stripPrefix'],
      problem: 'is not the beginning of `path`, so it would never be removed',
      remedy: 'begin `path` with it, for example `stripPrefix: /v1` and `path: /v1/*`',
    },
  ];
}

/** Two services may not take the same request with equal right. */
function checkEqualRoutes(services: readonly ServiceConfig[]): readonly Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, number>();
  for (const [index, service] of services.entries()) {
    const shape = patternShape(parseRoutePattern(service.path));
    for (const method of service.methods ?? ['any method']) {
      const keys = [`${service.host ?? ''} ${method} ${shape}`];
      if (service.ignoreCase === true)
        keys.push(`${service.host ?? ''} ${method} ${shape.toLowerCase()} in any case`);
      const twin = keys.map((key) => seen.get(key)).find((found) => found !== undefined);
      for (const key of keys) if (!seen.has(key)) seen.set(key, index);
      if (twin === undefined) continue;
      findings.push({
        path: ['services', index, 'path'],
        problem: `takes the same requests as ${services[twin]?.name} (services[${twin}])`,
        remedy: 'give one of them another `path`, `host` or `methods`, or remove it',
      });
      break;
    }
  }
  return findings;
}

function checkListeners({ listen, admin, node }: Config): readonly Finding[] {
  const findings: Finding[] = [];
  const taken: { readonly name: string; readonly at: HostPort }[] = [];
  const take = (path: (string | number)[], name: string, at: HostPort): void => {
    const other =
      at.port === 0
        ? undefined
        : taken.find((one) => one.at.port === at.port && overlaps(one.at.host, at.host));
    if (other !== undefined) {
      findings.push({
        path,
        problem: `uses port ${at.port}, which ${other.name} uses too`,
        remedy: 'give one of them another port',
      });
    }
    taken.push({ name, at });
  };
  for (const [index, listener] of listen.entries()) take(['listen', index], `listen[${index}]`, listener);
  take(['admin'], 'admin', admin);
  if (node.type === 'simulated' && node.url === undefined && node.portChosen) {
    take(['node', 'port'], 'the simulated node', { host: '127.0.0.1', port: node.port });
  }
  return findings;
}

function overlaps(a: string, b: string): boolean {
  return (
    a === b ||
    isWildcard(a) ||
    isWildcard(b) ||
    (a === 'localhost' && isLoopbackHost(b)) ||
    (b === 'localhost' && isLoopbackHost(a))
  );
}

function checkPlayMoney({ listen, node, allowPlayMoney }: Config): readonly Finding[] {
  if (node.type !== 'simulated' || allowPlayMoney) return [];
  return listen.flatMap(({ host }, index) => {
    if (isLoopbackHost(host)) return [];
    return {
      path: ['listen', index],
      problem:
        'can be reached from elsewhere, but the node is simulated: everything would be sold for play money',
      remedy:
        'listen on `127.0.0.1`, or set `allowPlayMoney: true` if that is what you want (to earn, configure a real `node`)',
    };
  });
}

function checkLnd(node: LndNodeConfig): readonly Finding[] {
  const found: Finding[] = [];
  if ((node.macaroon === undefined) === (node.macaroonFile === undefined)) {
    const remedy = 'set either `macaroonFile` or `macaroon`';
    found.push({ path: ['node'], problem: 'needs one macaroon', remedy });
  }
  const { clientCertFile, clientKeyFile } = node;
  if ((clientCertFile === undefined) !== (clientKeyFile === undefined)) {
    const remedy = 'set both `clientCertFile` and `clientKeyFile`, or none';
    found.push({ path: ['node'], problem: 'needs a client certificate and its key', remedy });
  } else if (clientCertFile !== undefined && node.url.startsWith('http:')) {
    const remedy = 'write an https URL, or remove `clientCertFile` and `clientKeyFile`';
    found.push({ path: ['node', 'clientCertFile'], problem: 'is never shown over plain HTTP', remedy });
  }
  return found;
}

function checkNode({ node }: Config): readonly Finding[] {
  if (node.type === 'lnd') return checkLnd(node);
  if (node.url === undefined) {
    if (node.macaroon === undefined) return [];
    return [
      {
        path: ['node', 'macaroon'],
        problem: 'is for a simulated network served elsewhere',
        remedy: 'add its `url`, or remove the macaroon',
      },
    ];
  }
  if (node.macaroon === undefined) {
    return [
      {
        path: ['node'],
        problem: 'has a url and no macaroon',
        remedy: 'add the `macaroon` of its wallet (`sluice simnet` prints it)',
      },
    ];
  }
  const remedy = 'remove it here and set it where that network runs, or remove the `url`';
  const problem = 'is for a network in this process, but `url` names one elsewhere';
  const set = { port: node.portChosen, latency: node.latencyMs > 0, failureRate: node.failureRate > 0 };
  return Object.entries(set).flatMap(([key, chosen]) =>
    chosen ? [{ path: ['node', key], problem, remedy }] : [],
  );
}

/** Balances in the memory of one process are not those of the next: a credential would be worth its price in each. */
function checkWorkers({ workers, store }: Config): readonly Finding[] {
  if (workers === 1 || store.type !== 'memory') return [];
  return [
    {
      path: ['workers'],
      problem: 'are several processes, which can not share a store in memory',
      remedy: 'use `store: { type: sqlite }`, or `workers: 1`',
    },
  ];
}

function checkTopUp({ topUp }: Config): readonly Finding[] {
  if (topUp.minMsat <= topUp.maxMsat) return [];
  return [
    {
      path: ['topUp', 'max'],
      problem: 'is less than `topUp.min`, so nothing could be added',
      remedy: 'raise it, or lower `min`',
    },
  ];
}

/** What a guesser can't get through in the time that there is, and what needs no quoting in a header. */
const ADMIN_TOKEN = /^[A-Za-z0-9_-]{32,256}$/;

function checkSecrets({ masterKeys, identitySecret, adminToken }: Config): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [index, key] of masterKeys.entries()) {
    if (masterKeys.indexOf(key) === index) continue;
    findings.push({ path: ['masterKeys', index], problem: 'is there twice', remedy: 'remove one of them' });
  }
  if (adminToken !== undefined && !ADMIN_TOKEN.test(adminToken)) {
    findings.push({
      path: ['adminToken'],
      problem: 'is not 32 to 256 letters, digits, `-` or `_`',
      remedy: 'make one: `openssl rand -hex 32`',
    });
  }
  if (identitySecret !== undefined && identitySecret.length < 16) {
    findings.push({
      path: ['identitySecret'],
      problem: 'is too short to keep',
      remedy: 'use at least 16 characters: `openssl rand -hex 32`',
    });
  }
  return findings;
}

/** Session cookies need HTTPS, here or at a declared proxy, except on localhost. */
function isCookieSafe({ listen, trustedProxies }: Config): boolean {
  return (
    trustedProxies.length > 0 || listen.every(({ tls, host }) => tls !== undefined || isLoopbackHost(host))
  );
}

function isWildcard(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}
