import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  judgeServer,
  readInfo,
  type ServerDemands,
  type ServerFacts,
} from '../../../gateway/ledger/redis/judge-server.ts';

const GOOD_INFO = {
  redis_version: '7.0.15',
  role: 'master',
  cluster_enabled: '0',
  aof_enabled: '1',
  maxmemory_policy: 'noeviction',
  rdb_last_bgsave_status: 'ok',
  aof_last_write_status: 'ok',
  connected_slaves: '1',
};
const GOOD_SETTINGS = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' };
const SINGLE: ServerDemands = { kind: 'single', waitReplicas: 0 };

function facts(info: object = {}, settings: object | undefined = {}, cluster?: object): ServerFacts {
  return {
    server: '10.0.0.1:6379',
    info: new Map(Object.entries({ ...GOOD_INFO, ...info })),
    settings: settings && new Map(Object.entries({ ...GOOD_SETTINGS, ...settings })),
    cluster: cluster && new Map(Object.entries(cluster)),
  };
}

function codes(given: ServerFacts, demands: ServerDemands = SINGLE): readonly string[] {
  return judgeServer(given, demands).map(({ code }) => code);
}

test('nothing is said of a Redis that loses nothing', () => {
  assert.deepEqual(codes(facts()), []);
});

test('each thing that may lose payments is named with the line that mends it', () => {
  const cases: readonly (readonly [ServerFacts, string, RegExp])[] = [
    [facts({ redis_version: '6.0.16' }), 'too-old', /install/],
    [facts({ cluster_enabled: '1' }), 'cluster-mode', /`cluster`/],
    [facts({ role: 'slave' }), 'replica', /master/],
    [facts({}, { appendonly: 'no' }), 'append-only', /`appendonly yes`/],
    [facts({}, { appendfsync: 'everysec' }), 'fsync', /`appendfsync always`/],
    [facts({}, { 'maxmemory-policy': 'allkeys-lru' }), 'eviction', /`maxmemory-policy noeviction`/],
    [facts({ rdb_last_bgsave_status: 'err' }), 'snapshot-failed', /disk/],
    [facts({ aof_last_write_status: 'err' }), 'append-failed', /disk/],
  ];
  for (const [given, code, remedy] of cases) {
    const findings = judgeServer(given, SINGLE);
    assert.deepEqual(
      findings.map((finding) => finding.code),
      [code],
    );
    assert.ok(findings[0]?.serious);
    assert.match(findings[0]?.remedy ?? '', remedy);
    assert.match(findings[0]?.message ?? '', /^10\.0\.0\.1:6379 /);
  }
});

test('with replicas that acknowledge, a second of the disk is no loss, but there must be so many', () => {
  const demands: ServerDemands = { kind: 'sentinel', waitReplicas: 1 };
  assert.deepEqual(codes(facts({}, { appendfsync: 'everysec' }), demands), []);
  assert.deepEqual(codes(facts({}, { appendfsync: 'no' }), demands), ['fsync']);
  assert.deepEqual(codes(facts({ connected_slaves: '0' }), demands), ['replicas']);
});

test('replicas of which only some acknowledge are said, and refuse nothing: whoever has all of them wait sells less often', () => {
  const demands: ServerDemands = { kind: 'sentinel', waitReplicas: 1 };
  const [finding] = judgeServer(facts({ connected_slaves: '2' }), demands);
  assert.equal(finding?.code, 'some-replicas');
  assert.equal(finding.serious, false);
  assert.match(finding.remedy, /`wait: \{ replicas: 2 \}`/);
  assert.deepEqual(codes(facts({ connected_slaves: '2' }), { kind: 'sentinel', waitReplicas: 2 }), []);
  assert.deepEqual(codes(facts({ connected_slaves: '2' })), []);
});

test('a Cluster is looked at as one', () => {
  const demands: ServerDemands = { kind: 'cluster', waitReplicas: 0 };
  const info = { cluster_enabled: '1' };
  assert.deepEqual(codes(facts(info, {}, { cluster_state: 'ok' }), demands), []);
  assert.deepEqual(codes(facts(info, {}, { cluster_state: 'fail' }), demands), ['cluster-state']);
  assert.deepEqual(codes(facts(info, {}, { cluster_slots_assigned: '16383' }), demands), ['cluster-state']);
});

test('without the right to read settings, INFO says what it can, and the rest is named', () => {
  const blind = { ...facts(), settings: undefined };
  assert.deepEqual(codes(blind), ['not-seen']);
  assert.equal(judgeServer(blind, SINGLE)[0]?.serious, false);
  const worse = { ...facts({ aof_enabled: '0', maxmemory_policy: 'volatile-ttl' }), settings: undefined };
  assert.deepEqual(codes(worse), ['append-only', 'eviction', 'not-seen']);
});

test('any text is read as INFO without harm, and lines are found in it', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const lines = readInfo(`${text}\r\nrole:master\r\n`);
      assert.equal(lines.get('role'), 'master');
    }),
  );
  assert.equal(readInfo('# Server\r\na:b:c\r\n').get('a'), 'b:c');
  assert.ok(readInfo('x:y\n'.repeat(100_000)).size <= 2_000);
});
