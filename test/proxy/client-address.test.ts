import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  clientAddress,
  plainAddress,
  throttleKey,
  trustedProxies,
} from '../../gateway/proxy/client-address.ts';

const TRUSTED = trustedProxies(['10.0.0.0/8', '::1', '2001:db8:ffff::/48']);

test('without trusted proxies the peer is the client, and the operator is told once', () => {
  const told: string[] = [];
  const none = trustedProxies([], (address) => told.push(address));
  assert.equal(clientAddress('192.0.2.1', undefined, none), '192.0.2.1');
  assert.deepEqual(told, []);
  assert.equal(clientAddress('::ffff:192.0.2.1', '203.0.113.1', none), '192.0.2.1');
  assert.equal(clientAddress('192.0.2.2', '203.0.113.1', none), '192.0.2.2');
  assert.deepEqual(told, ['192.0.2.1']);
});

test('the right-most address that is no trusted proxy is the client', () => {
  const of = (chain: string, peer = '10.0.0.1') => clientAddress(peer, chain, TRUSTED);
  assert.equal(of('203.0.113.1'), '203.0.113.1');
  assert.equal(of('6.6.6.6, 203.0.113.1, 10.2.3.4'), '203.0.113.1');
  assert.equal(of('203.0.113.1', '::ffff:10.0.0.1'), '203.0.113.1');
  assert.equal(of('203.0.113.1:4711'), '203.0.113.1');
  assert.equal(of('[2001:db8::5]:4711'), '2001:db8::5');
  assert.equal(of('2001:db8::5', '::1'), '2001:db8::5');
  assert.equal(of('10.9.9.9, 10.8.8.8'), '10.9.9.9');
  assert.equal(of(''), '10.0.0.1');
});

test('garbage hides only what lies beyond it', () => {
  assert.equal(clientAddress('10.0.0.1', '203.0.113.1, unknown', TRUSTED), '10.0.0.1');
  assert.equal(clientAddress('10.0.0.1', '203.0.113.1, unknown, 10.0.0.2', TRUSTED), '10.0.0.2');
});

test('a closed socket has no address', () => assert.equal(clientAddress(undefined, '1.2.3.4', TRUSTED), ''));

test('an entry that is no address and no block is refused', () => {
  for (const entry of ['', 'example.com', '10.0.0.0/33', '10.0.0.0/', '::/129', '10.0.0/8', '1.2.3.4/x']) {
    assert.throws(() => trustedProxies([entry]), RangeError, entry);
  }
});

test('throttle keys fold IPv6 to /56 and mapped addresses to IPv4', () => {
  assert.equal(throttleKey('192.0.2.1'), '192.0.2.1');
  assert.equal(throttleKey('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(throttleKey('::ffff:c000:201'), '192.0.2.1');
  assert.equal(throttleKey('2001:db8:1:2345::1'), '2001:db8:1:2300::/56');
  assert.equal(throttleKey('2001:db8:1:23ff:ffff::'), '2001:db8:1:2300::/56');
  assert.notEqual(throttleKey('2001:db8:1:2400::1'), throttleKey('2001:db8:1:2300::1'));
  assert.equal(throttleKey('fe80::1%eth0'), 'fe80:0:0:0::/56');
  assert.equal(throttleKey('64:ff9b::192.0.2.1'), '64:ff9b:0:0::/56');
  assert.equal(throttleKey(''), '');
});

test('no header makes the client’s address fail, or anything but an address', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ maxLength: 200 }),
        fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string())).map(String),
      ),
      (chain) => {
        const address = clientAddress('10.0.0.1', chain, TRUSTED);
        assert.match(address, /^[0-9a-f:.]+$/i);
        throttleKey(address);
      },
    ),
  );
});

test('two spellings of one IPv6 address have one throttle key', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const compressed = new URL(`http://[${address}]/`).hostname.slice(1, -1);
      assert.equal(throttleKey(address), throttleKey(compressed));
      assert.equal(throttleKey(plainAddress(address)), throttleKey(address));
    }),
  );
});
