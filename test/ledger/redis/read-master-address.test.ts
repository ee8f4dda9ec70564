import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { readMasterAddress } from '../../../gateway/ledger/redis/read-master-address.ts';

test('a host and a port as sentinels answer them are an address', () => {
  for (const host of ['10.0.0.1', 'fd00::1', 'fe80::1%eth0', 'redis-1.internal', 'redis_1'])
    assert.deepEqual(readMasterAddress([host, '6379']), { host, port: 6379 });
});

test('any address of a machine and any port are read as they are', () => {
  const port = fc.integer({ min: 1, max: 65_535 });
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (host, number) => {
      assert.deepEqual(readMasterAddress([host, String(number)]), { host, port: number });
    }),
  );
});

test('what else is answered is no address: it neither throws nor leads anywhere', () => {
  const odd = [
    null,
    undefined,
    'OK',
    [],
    ['10.0.0.1'],
    ['10.0.0.1', '1', '2'],
    ['', '6379'],
    ['a b', '6379'],
  ];
  const ports = ['', '0', '-1', '65536', '99999', 'abc', '6379.5', '0x10', ' 6379', '1e3', 6379, null];
  const hosts = ['a'.repeat(254), '127.0.0.1\0', 'a\n', '[::1]', 'a/b', 5, ['a'], null];
  for (const answer of [
    ...odd,
    ...ports.map((port) => ['10.0.0.1', port]),
    ...hosts.map((host) => [host, '1']),
  ])
    assert.equal(readMasterAddress(answer), undefined, JSON.stringify(answer));
});

test('whatever a sentinel says, an address that is read can be connected to', () => {
  const word = fc.oneof(fc.string(), fc.nat(99_999).map(String));
  fc.assert(
    fc.property(fc.oneof(fc.tuple(word, word), fc.anything()), (answer) => {
      const address = readMasterAddress(answer);
      if (address === undefined) return;
      assert.ok(address.port >= 1 && address.port <= 65_535);
      assert.ok(isIP(address.host) !== 0 || /^[\w.:%-]{1,253}$/.test(address.host));
    }),
  );
});
