import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseLndConnect } from '../../node/lndconnect.ts';
import { NodeError } from '../../node/node.ts';
import { TLS_CERT } from './lnd/tls.ts';

const DER = new X509Certificate(TLS_CERT).raw.toString('base64url');

test('address, certificate and macaroon are read', () => {
  const parsed = parseLndConnect(`lndconnect://node.example:8080?cert=${DER}&macaroon=AgEDbG5k_-8`);
  assert.equal(parsed.url, 'https://node.example:8080');
  assert.equal(parsed.macaroon, '0201036c6e64ffef');
  assert.equal(new X509Certificate(parsed.tlsCertPem ?? '').raw.toString('base64url'), DER);
});

test('the certificate may be left out, and the host may be IPv6', () => {
  assert.deepEqual(parseLndConnect('lndconnect://[::1]:10009?macaroon=AgED'), {
    url: 'https://[::1]:10009',
    macaroon: '020103',
  });
});

test('what is wrong is said without repeating any of it', () => {
  for (const uri of [
    'https://node.example:8080?macaroon=AgEDsecret',
    'lndconnect://?macaroon=AgEDsecret',
    'lndconnect://node.example:8080',
    'lndconnect://node.example:8080?macaroon=secret!',
    'lndconnect://node.example:8080?macaroon=AgEDsecret&cert=secret!',
    `lndconnect://node.example:8080?macaroon=${'secret'.repeat(5_000)}`,
  ]) {
    assert.throws(
      () => parseLndConnect(uri),
      (error) => error instanceof NodeError && error.code === 'rejected' && !/secret/.test(error.message),
    );
  }
});

test('any other text is refused with a NodeError', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `lndconnect://h:1?${text}`),
      ),
      (text) => {
        try {
          parseLndConnect(text);
        } catch (error) {
          assert.ok(error instanceof NodeError);
        }
      },
    ),
    { numRuns: 300 },
  );
});
