import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createKeyring } from '../../gateway/flow/keys.ts';
import { createThrottle } from '../../gateway/flow/throttle.ts';
import { createCredentialVerifier } from '../../gateway/flow/verify-credential.ts';
import { termsToCaveats } from '../../gateway/l402/caveat.ts';
import type { CredentialCandidate } from '../../gateway/l402/credential.ts';
import { encodeIdentifier } from '../../gateway/l402/identifier.ts';
import { macaroonToBase64, mintMacaroon } from '../../gateway/l402/macaroon.ts';
import { msat } from '../../node/msat.ts';
import { testService } from '../support/config.ts';

const NOW_SEC = 1_900_000_000;
const quote = testService({ name: 'quote', path: '/quote', price: '10 sat', upstream: 'http://127.0.0.1:9' });
const keys = createKeyring([randomBytes(32)], 'generation');

/** A credential that was minted and paid for. */
function paidCredential(validUntilSec = NOW_SEC + 60): CredentialCandidate & { readonly accountId: string } {
  const preimage = randomBytes(32);
  const accountId = randomBytes(32).toString('hex');
  const paymentHash = createHash('sha256').update(preimage).digest('hex');
  const identifier = encodeIdentifier({ paymentHash, tokenId: accountId });
  const caveats = termsToCaveats({
    service: 'quote',
    capabilities: 'all',
    validUntilSec,
    accountId,
    creditMsat: msat(10_000),
    price: '10000msat/call',
  });
  const macaroon = macaroonToBase64(mintMacaroon(keys.mintingKey(identifier), identifier, caveats));
  const hex = preimage.toString('hex');
  return { macaroons: [macaroon], preimage: hex, cacheKey: `${macaroon}:${hex}`, accountId };
}

function openVerifier(maxCacheBytes = 12_000) {
  const state = { nowSec: NOW_SEC, revoked: new Set<string>(), lookups: [] as string[] };
  const verifier = createCredentialVerifier({
    keys,
    isRevoked: (accountId) => state.revoked.has(accountId),
    nowSec: () => state.nowSec,
    throttle: createThrottle(() => state.nowSec * 1000),
    maxCacheBytes,
    onLookup: (result) => state.lookups.push(result),
  });
  return { verifier, state };
}

test('what held is remembered, and expiry and revocation are looked at on every use', () => {
  const { verifier, state } = openVerifier();
  const credential = paidCredential();
  for (let n = 0; n < 2; n += 1) assert.equal(verifier.verify(credential, quote, 'client').kind, 'granted');
  state.revoked.add(credential.accountId);
  assert.deepEqual(verifier.verify(credential, quote, 'client'), { kind: 'refused', reason: 'revoked' });
  state.revoked.clear();
  state.nowSec = NOW_SEC + 60;
  assert.deepEqual(verifier.verify(credential, quote, 'client'), { kind: 'refused', reason: 'expired' });
  assert.deepEqual(state.lookups, ['miss', 'hit', 'hit', 'hit']);
});

test('what does not hold is not remembered, so nobody fills the cache without having paid', () => {
  const { verifier } = openVerifier();
  for (let n = 0; n < 50; n += 1) {
    const { macaroons, cacheKey } = paidCredential();
    const guess = randomBytes(32).toString('hex');
    const wrong = { macaroons, preimage: guess, cacheKey: `${cacheKey}${n}` };
    assert.deepEqual(verifier.verify(wrong, quote, 'client'), { kind: 'refused', reason: 'bad-preimage' });
  }
  assert.deepEqual(verifier.cacheSize(), { entries: 0, bytes: 0 });
});

test('the cache stays within its bytes, and what fell out of it holds all the same', () => {
  const { verifier } = openVerifier();
  const credentials = Array.from({ length: 40 }, () => paidCredential());
  for (const credential of credentials)
    assert.equal(verifier.verify(credential, quote, 'client').kind, 'granted');
  const { entries, bytes } = verifier.cacheSize();
  assert.ok(entries > 1 && entries < 40);
  assert.ok(bytes <= 12_000);
  for (const credential of credentials)
    assert.equal(verifier.verify(credential, quote, 'client').kind, 'granted');
});

test('a credential remembered for one service says nothing for another', () => {
  const { verifier } = openVerifier();
  const credential = paidCredential();
  assert.equal(verifier.verify(credential, quote, 'client').kind, 'granted');
  const other = { ...quote, name: 'other' };
  assert.deepEqual(verifier.verify(credential, other, 'client'), {
    kind: 'refused',
    reason: 'other-service',
  });
});
