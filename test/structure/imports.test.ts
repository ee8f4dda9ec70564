import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Import, importsOf, listFiles, readSource } from './source-tree.ts';

/*
 * Imports run one way, so that the money rules and the wire forms can be read without the servers around them, and so that
 * the client runs in a browser. An area is a top-level folder, or a folder below gateway/. `gateway` is the files directly
 * in gateway/: the composition root, which may import every area.
 */

const SHARED = ['config', 'node', 'gateway/errors.ts', 'gateway/cors-headers.ts'];

/** What each area may import, beside itself. A name that ends with .ts allows that file only, one with / what is below it. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  node: [],
  // Usage terms and rates are pure: what the check accepts is what the meter counts by.
  config: ['gateway/pricing', 'node', 'gateway/meter/usage/', 'gateway/meter/rate.ts'],
  client: ['node'],
  'gateway/l402': ['node'],
  'gateway/mpp': ['node'],
  'gateway/pricing': ['node'],
  'gateway/ledger': ['node', 'gateway/errors.ts', 'config', 'gateway/bus'],
  'gateway/bus': ['node'],
  // Processes and what they say to each other; what each of them does is composed in gateway/ itself.
  'gateway/cluster': [
    ...SHARED,
    'gateway/bus',
    'gateway/observe',
    'gateway/flow/throttle.ts',
    'gateway/settlements/backoff.ts',
    'gateway/server.ts',
  ],
  'gateway/meter': [...SHARED, 'gateway/ledger', 'gateway/pricing', 'gateway/observe'],
  'gateway/proxy': [...SHARED, 'gateway/meter', 'gateway/observe'],
  'gateway/paywall': ['node', 'gateway/pricing'],
  'gateway/settlements': ['node', 'gateway/ledger', 'gateway/observe'],
  // What a session cookie is, and what it stands for: the flow reads it, an endpoint gives it.
  'gateway/session': ['gateway/l402', 'gateway/ledger', 'gateway/errors.ts'],
  // As types alone: its page runs the client library in the browser.
  'gateway/demo': ['client'],
  'gateway/observe': [...SHARED, 'gateway/ledger', 'gateway/pricing'],
  'gateway/endpoints': [
    ...SHARED,
    'gateway/ledger',
    'gateway/observe',
    'gateway/pricing',
    'gateway/paywall',
    'gateway/session',
  ],
  'gateway/admin': [
    ...SHARED,
    'gateway/ledger',
    'gateway/observe',
    'gateway/pricing',
    // The three are one control plane: answers, pages and guards are written once.
    'gateway/endpoints',
    'gateway/paywall',
    'gateway/server.ts',
  ],
  'gateway/flow': [
    ...SHARED,
    'gateway/session',
    'gateway/l402',
    'gateway/mpp',
    'gateway/pricing',
    'gateway/meter',
    'gateway/proxy',
    'gateway/paywall',
    'gateway/ledger',
    'gateway/observe',
  ],
};

const SAME_ROUTER = 'the config check finds routes with the very functions that serve them; they are pure';

/** Imports against the rule, by file or area, each with its reason. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['config → gateway/flow/route-pattern.ts', SAME_ROUTER],
  ['config → gateway/flow/match-service.ts', SAME_ROUTER],
  ['config → gateway/proxy/target.ts', SAME_ROUTER],
  ['config → gateway/proxy/upstream-path.ts', SAME_ROUTER],
  ['node/index.ts → config/config.ts', 'openNode takes the node section of the configuration, as a type'],
]);

function isException({ from, to }: Import): boolean {
  return EXCEPTIONS.has(`${from} → ${to}`) || EXCEPTIONS.has(`${areaOf(from)} → ${to}`);
}

const FILES = listFiles().filter((path) => /^(gateway|node|config|client)\/.*(?<!\.d)\.ts$/.test(path));
const IMPORTS: readonly Import[] = FILES.flatMap(importsOf);
const RELATIVE = IMPORTS.filter((one) => one.relative);

function areaOf(path: string): string {
  const [top = '', second = '', third] = path.split('/');
  return top === 'gateway' && third !== undefined ? `gateway/${second}` : top;
}

function isAllowed(one: Import): boolean {
  const { from, to } = one;
  const area = areaOf(from);
  if (area === areaOf(to) || isException(one)) return true;
  // The command lines and the composition root stand above everything.
  if (area === 'gateway' || area === 'gateway/cli' || from.startsWith('client/cli/')) return true;
  return (ALLOWED[area] ?? []).some((target) => {
    if (target.endsWith('/')) return to.startsWith(target);
    return target.endsWith('.ts') ? to === target : areaOf(to) === target;
  });
}

function show(imports: readonly Import[]): string[] {
  return imports.map(({ from, to }) => `${from} → ${to}`);
}

test('every area of the tree has a rule', () => {
  const areas = new Set(FILES.map(areaOf));
  const unknown = [...areas].filter(
    (area) => !(area in ALLOWED) && !['gateway', 'gateway/cli'].includes(area),
  );
  assert.deepEqual(unknown, []);
});

test('imports run one way between the areas', () => {
  assert.deepEqual(show(RELATIVE.filter((one) => !isAllowed(one))), []);
});

test('every exception is still needed', () => {
  const present = new Set(RELATIVE.flatMap(({ from, to }) => [`${from} → ${to}`, `${areaOf(from)} → ${to}`]));
  assert.deepEqual(
    [...EXCEPTIONS.keys()].filter((pair) => !present.has(pair)),
    [],
  );
});

test('relative imports name a file that exists, and stay inside the product', () => {
  const known = new Set(listFiles());
  const bad = RELATIVE.filter(
    ({ to }) => !known.has(to) || !/^(gateway|node|config|client|package\.json)/.test(to),
  );
  assert.deepEqual(show(bad), []);
});

test('node/ never imports gateway/, and no adapter imports another one', () => {
  const folder = (path: string) => /^node\/([^/]+)\//.exec(path)?.[1];
  const bad = RELATIVE.filter((one) => {
    const { from, to } = one;
    if (!from.startsWith('node/')) return false;
    if (!to.startsWith('node/')) return !isException(one);
    const [own, other] = [folder(from), folder(to)];
    return own !== undefined && (to === 'node/index.ts' || (other !== undefined && other !== own));
  });
  assert.deepEqual(show(bad), []);
});

test('only types of the configuration reach the gateway: it is loaded by main and the command line alone', () => {
  const bad = RELATIVE.filter(
    ({ from, to, typeOnly }) =>
      !typeOnly && to.startsWith('config/') && from.startsWith('gateway/') && areaOf(from) !== 'gateway/cli',
  ).filter(({ from }) => from !== 'gateway/main.ts' && areaOf(from) !== 'gateway');
  assert.deepEqual(show(bad), []);
});

test('the codecs and the price grammar do no I/O', () => {
  const pure = /^gateway\/(l402|mpp|pricing)\//;
  const allowed = new Set(['node:crypto', 'node:buffer', 'node:module']);
  const bad = IMPORTS.filter(({ from, to, relative }) => pure.test(from) && !relative && !allowed.has(to));
  assert.deepEqual(show(bad), []);
  for (const path of FILES.filter((file) => pure.test(file))) {
    assert.doesNotMatch(readSource(path), /\b(fetch\(|process\.|Date\.now\(|Math\.random\()/, path);
  }
});

test('the core of the client runs in a browser: nothing from node:, no Buffer, no process', () => {
  const core = reachable('client/index.ts');
  assert.ok(core.size > 3, 'client/index.ts imports the core');
  const bad = IMPORTS.filter(
    ({ from, to, typeOnly }) => core.has(from) && !typeOnly && to.startsWith('node:'),
  );
  assert.deepEqual(show(bad), []);
  for (const path of core) {
    const code = readSource(path).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    assert.doesNotMatch(code, /\bBuffer\.|\bprocess\.|\brequire\(/, path);
  }
});

test('each named package works in its one place', () => {
  const homes: Readonly<Record<string, RegExp>> = {
    // The data plane is node:http and undici: Express never sees a proxied request.
    express: /^gateway\/(admin|endpoints)\/|^gateway\/express\.ts$/,
    helmet: /^gateway\/(admin|endpoints)\//,
    'http-proxy-middleware': /^gateway\/proxy\//,
    'prom-client': /^gateway\/observe\//,
    pino: /^gateway\/observe\//,
    ioredis: /^gateway\/(ledger|bus)\//,
    bolt11: /^node\//,
    secp256k1: /^node\//,
    zod: /^(config|node|client)\//,
    commander: /^(gateway|client)\/cli\/|^config\/|^gateway\/main\.ts$/,
  };
  const bad = IMPORTS.filter(({ from, to, typeOnly }) => !typeOnly && homes[to]?.test(from) === false);
  assert.deepEqual(show(bad), []);
});

test('the scripts of the pages stand alone: their text is what the browser gets', () => {
  for (const path of ['gateway/paywall/payment-client.ts', 'gateway/admin/dashboard-client.ts']) {
    assert.deepEqual(importsOf(path), [], path);
  }
});

test('no file imports itself by a detour', () => {
  const edges = new Map<string, string[]>();
  for (const { from, to } of RELATIVE) edges.set(from, [...(edges.get(from) ?? []), to]);
  const done = new Set<string>();
  for (const file of FILES) {
    const cycle = findCycle(file, edges, done, []);
    assert.equal(cycle?.join(' → '), undefined);
  }
});

function findCycle(
  file: string,
  edges: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
  path: readonly string[],
): readonly string[] | undefined {
  if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const next of edges.get(file) ?? []) {
    const cycle = findCycle(next, edges, done, [...path, file]);
    if (cycle !== undefined) return cycle;
  }
  done.add(file);
  return undefined;
}

/** Files that run when one is imported. */
function reachable(start: string): Set<string> {
  const seen = new Set<string>();
  const open = [start];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { from, to, typeOnly } of RELATIVE) if (from === path && !typeOnly) open.push(to);
  }
  return seen;
}
