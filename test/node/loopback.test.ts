import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopbackAddress, isLoopbackHost } from '../../node/loopback.ts';

test('127.0.0.0/8 and ::1 are loopback, in every spelling that a socket or a configuration has', () => {
  for (const address of [
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
    '0:0:0:0:0:0:0:1',
  ])
    assert.equal(isLoopbackAddress(address), true, address);
});

test('nothing else is loopback: wildcards, other networks, and names that begin like one', () => {
  for (const address of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '128.0.0.1',
    '::ffff:10.0.0.1',
    '127.0.0.1.example.com',
    '127.1',
    '',
    'localhost',
    '[127.0.0.1',
  ])
    assert.equal(isLoopbackAddress(address), false, address);
});

test('a listener on `localhost` is for this machine only; one on any other name is taken for public', () => {
  assert.equal(isLoopbackHost('localhost'), true);
  assert.equal(isLoopbackHost('127.0.0.1'), true);
  assert.equal(isLoopbackHost('localhost.example.com'), false);
  assert.equal(isLoopbackHost('0.0.0.0'), false);
});
