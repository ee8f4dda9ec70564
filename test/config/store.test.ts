import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RedisStoreConfig } from '../../config/config.ts';
import { demoFile } from '../../config/demo.ts';
import { explainIssues } from '../../config/explain-issues.ts';
import { FlagsError, parseFlags } from '../../config/flags.ts';
import { loadConfig } from '../../config/load.ts';
import { ConfigError } from '../../config/problem.ts';
import { parseRedisUrl } from '../../config/redis-url.ts';
import { resolveConfig } from '../../config/resolve.ts';
import { fileSchema } from '../../config/schema.ts';
import { showConfig } from '../../gateway/admin/show-config.ts';
import { nameStore } from '../../gateway/ledger/name-store.ts';

const SERVICES = demoFile('http://127.0.0.1:3000').services;

function read(store: unknown): RedisStoreConfig {
  const file = fileSchema.parse({ services: SERVICES, store });
  const config = resolveConfig(file, '/etc/sluice').store;
  assert.equal(config.type, 'redis');
  return config;
}

function refusals(store: unknown): readonly string[] {
  const value = { services: SERVICES, store };
  const parsed = fileSchema.safeParse(value);
  assert.equal(parsed.success, false);
  return explainIssues(parsed.error?.issues ?? [], value).map(
    ({ path, problem }) => `${path.join('.')} ${problem}`,
  );
}

test('a URL is all it takes, in the file and as a flag', () => {
  const short = read('redis://127.0.0.1:6379');
  assert.deepEqual(short, read({ type: 'redis', url: 'redis://127.0.0.1' }));
  assert.deepEqual(short.reach, { kind: 'single', server: { host: '127.0.0.1', port: 6379 } });
  assert.deepEqual(
    [short.database, short.keyPrefix, short.strict, short.tls, short.passGraceMs],
    [0, 'sluice:', false, undefined, 300_000],
  );
  const flags = parseFlags([
    '--upstream',
    'http://h',
    '--price',
    '1 sat',
    '--store',
    'redis://127.0.0.1:6379',
  ]);
  assert.deepEqual(loadConfig({ flags, env: {}, cwd: '/' }).config.store, short);
});

test('user, password, database and TLS of a URL, and the same as keys', () => {
  const fromUrl = read('rediss://shop:p%40ss@[fd00::1]:6380/3');
  const fromKeys = read({
    type: 'redis',
    url: 'redis://[fd00::1]:6380',
    username: 'shop',
    password: 'p@ss',
    database: 3,
    tls: true,
  });
  assert.deepEqual(fromUrl, fromKeys);
  assert.deepEqual(fromUrl.tls, {});
});

test('sentinels and clusters, with files of TLS beside the configuration', () => {
  const sentinel = read({
    type: 'redis',
    sentinels: ['a', 'b:1'],
    master: 'm',
    sentinelPassword: 's',
    tls: { ca: 'ca.crt' },
    wait: { replicas: 2 },
  });
  assert.deepEqual(sentinel.reach, {
    kind: 'sentinel',
    sentinels: [
      { host: 'a', port: 26_379 },
      { host: 'b', port: 1 },
    ],
    master: 'm',
    sentinelPassword: 's',
  });
  assert.deepEqual(
    [sentinel.tls, sentinel.wait],
    [{ caFile: '/etc/sluice/ca.crt' }, { replicas: 2, timeoutMs: 500 }],
  );
  assert.deepEqual(read({ type: 'redis', cluster: 'a:7000' }).reach, {
    kind: 'cluster',
    nodes: [{ host: 'a', port: 7000 }],
  });
});

for (const [store, ...said] of [
  [{ type: 'redis' }, 'store does not say where Redis is'],
  [{ type: 'redis', url: 'redis://h', cluster: 'a' }, "store.cluster can't stand beside `url`"],
  [{ type: 'redis', sentinels: 'a' }, 'store.master is missing'],
  [{ type: 'redis', url: 'redis://h', master: 'm' }, 'store.master is of use with `sentinels` only'],
  [
    { type: 'redis', cluster: 'a', database: 1 },
    'store.database is not 0, and a Redis Cluster has only that one',
  ],
  [{ type: 'redis', url: 'redis://:x@h', password: 'y' }, 'store.password stands here and in `url`'],
  [{ type: 'redis', url: 'redis://h', username: 'u' }, 'store.password is missing'],
  [{ type: 'redis', url: 'rediss://h', tls: false }, 'store.tls is false, and `rediss://` asks for TLS'],
  [
    { type: 'redis', url: 'redis://h', wait: { replicas: 1, timeout: '2s' } },
    'store.wait.timeout is not shorter than `commandTimeout`',
  ],
  [{ type: 'redis', url: 'http://h' }, 'store.url is not a redis or rediss URL'],
  [{ type: 'redis', url: 'redis://h/x' }, 'store.url has a path that is not a database number'],
  [{ type: 'redis', url: 'redis://h?x=1' }, 'store.url has something after `?` or `#`'],
  [{ type: 'redis', url: 'redis://h:99999' }, 'store.url is not a URL'],
  [{ type: 'redis', url: 'redis://u@h' }, 'store.url has a user and no password'],
  [{ type: 'redis', cluster: 'a b' }, 'store.cluster is not a host and a port'],
  [{ type: 'redis', url: 'redis://h', keyPrefix: '{x}' }, 'store.keyPrefix is not a key prefix'],
  [{ type: 'redis', url: 'redis://h', pasword: 'x' }, 'store.pasword is not a known key'],
  ['redis://h/x', 'store has a path that is not a database number'],
] as const) {
  test(`refused: ${JSON.stringify(store)}`, () => {
    assert.deepEqual(refusals(store), said);
  });
}

test('a password is shown nowhere: not in a mistake, not in the configuration as shown, not in the name of the store', (t) => {
  const hidden = 'correct-horse';
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-store-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'sluice.yaml');
  for (const store of [
    `redis://:${hidden}@h/x`,
    `{ type: redis, url: 'redis://u:${hidden}@h?x' }`,
    `{ type: redis, url: 'redis://h', password: [${hidden}] }`,
    `{ type: redis, url: 'redis://h', username: u, password: "${hidden}\\nx" }`,
  ]) {
    writeFileSync(file, `services: [{ name: a, price: free, upstream: 'http://h' }]\nstore: ${store}\n`);
    assert.throws(
      () => loadConfig({ file, env: {}, cwd: '/' }),
      (error) => error instanceof ConfigError && !error.message.includes(hidden),
    );
  }
  assert.throws(
    () => parseFlags(['--store', `redis://:${hidden}@h/x`]),
    (error) => error instanceof FlagsError && !error.message.includes(hidden),
  );
  const parsed = fileSchema.parse({ services: SERVICES, store: `redis://shop:${hidden}@h:1` });
  const config = resolveConfig(parsed, '/');
  assert.doesNotMatch(JSON.stringify(showConfig(config)), /correct-horse/);
  assert.equal(nameStore(config.store), 'redis://h:1');
});

test('any text is read as a URL or refused, and what is read can be written again', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((rest) => `redis://${rest}`),
      ),
      (value) => {
        const read = parseRedisUrl(value);
        if ('problem' in read) return;
        assert.ok(read.port >= 1 && read.port <= 65_535 && read.host !== '');
      },
    ),
  );
});
