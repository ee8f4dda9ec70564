import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveConfig } from '../../config/resolve.ts';
import { fileSchema } from '../../config/schema.ts';

const MACAROON = Buffer.from('0201036c6e64'.padEnd(64, '0'), 'hex');
const SERVICES = [{ name: 'api', path: '/*', price: '10 sat', upstream: 'http://127.0.0.1:3000' }];

test('an lndconnect URI is a node: address, macaroon and certificate', () => {
  const der = Buffer.from('certificate').toString('base64url');
  const uri = `lndconnect://h:8080?cert=${der}&macaroon=${MACAROON.toString('base64url')}`;
  const { node } = resolveConfig(fileSchema.parse({ node: uri, services: SERVICES }), '/srv');
  assert.ok(node.type === 'lnd');
  assert.deepEqual([node.url, node.macaroon], ['https://h:8080', MACAROON.toString('hex')]);
  assert.match(node.tlsCertPem ?? '', /^-----BEGIN CERTIFICATE-----/);
});

test('one that is damaged is refused, and nothing of it is repeated', () => {
  const parsed = fileSchema.safeParse({ node: 'lndconnect://h?macaroon=c0ffee!', services: SERVICES });
  assert.equal(parsed.success, false);
  assert.doesNotMatch(JSON.stringify(parsed.error), /c0ffee/);
});
