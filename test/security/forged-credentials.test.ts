import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createKeyring, type Keyring } from '../../gateway/flow/keys.ts';
import { createThrottle } from '../../gateway/flow/throttle.ts';
import { createCredentialVerifier } from '../../gateway/flow/verify-credential.ts';
import { MAX_APPENDED_CAVEATS, termsToCaveats } from '../../gateway/l402/caveat.ts';
import type { CredentialCandidate } from '../../gateway/l402/credential.ts';
import { encodeIdentifier } from '../../gateway/l402/identifier.ts';
import { type Macaroon, macaroonToBase64, mintMacaroon } from '../../gateway/l402/macaroon.ts';
import { msat } from '../../node/msat.ts';
import { append, openScene, partsOf } from '../e2e/scene.ts';
import { testService } from '../support/config.ts';
import { buy, withCredential } from '../support/gateway.ts';

const NOW_SEC = 1_900_000_000;
const quote = testService({ name: 'quote', path: '/quote', price: '10 sat', upstream: 'http://127.0.0.1:9' });

/** A verifier whose chains are counted. */
function openVerifier() {
  const keyring = createKeyring([randomBytes(32)], 'generation');
  const seen = { chains: 0, nowSec: NOW_SEC };
  const keys: Keyring = {
    ...keyring,
    holds: (macaroon) => {
      seen.chains += 1;
      return keyring.holds(macaroon);
    },
  };
  const verifier = createCredentialVerifier({
    keys,
    isRevoked: () => false,
    nowSec: () => seen.nowSec,
    throttle: createThrottle(() => seen.nowSec * 1000),
    maxCacheBytes: 12_000,
  });
  return { verifier, seen, keys };
}

interface Paid {
  readonly macaroon: Macaroon;
  readonly preimage: string;
}

function paid(keys: Keyring, service = 'quote'): Paid {
  const preimage = randomBytes(32);
  const paymentHash = createHash('sha256').update(preimage).digest('hex');
  const accountId = randomBytes(32).toString('hex');
  const caveats = termsToCaveats({
    service,
    capabilities: 'all',
    validUntilSec: NOW_SEC + 3_600,
    accountId,
    creditMsat: msat(10_000),
    price: '10000msat/call',
  });
  const identifier = encodeIdentifier({ paymentHash, tokenId: accountId });
  const macaroon = mintMacaroon(keys.mintingKey(identifier), identifier, caveats);
  return { macaroon, preimage: preimage.toString('hex') };
}

/** Its preimage is right, as any stranger's can be: only the chain shows that it is forged. */
function forged(keys: Keyring): Paid {
  const { macaroon, preimage } = paid(keys);
  return { macaroon: { ...macaroon, signature: randomBytes(32) }, preimage };
}

function candidate({ macaroon, preimage }: Paid): CredentialCandidate {
  const text = macaroonToBase64(macaroon);
  return { macaroons: [text], preimage, cacheKey: `${text}:${preimage}` };
}

test('after sixty forged credentials a client has no more chains computed, until time has passed', () => {
  const { verifier, seen, keys } = openVerifier();
  for (let n = 0; n < 500; n += 1) verifier.verify(candidate(forged(keys)), quote, 'attacker');
  assert.equal(seen.chains, 60);
  const verdict = verifier.verify(candidate(forged(keys)), quote, 'attacker');
  assert.deepEqual(verdict, { kind: 'throttled', retryAfterSec: 1 });
  seen.nowSec += 10;
  for (let n = 0; n < 500; n += 1) verifier.verify(candidate(forged(keys)), quote, 'attacker');
  assert.equal(seen.chains, 80, 'two a second come back');
});

test('a macaroon that was never paid is counted too, when its preimage can only stand in a caveat', () => {
  const { verifier, seen, keys } = openVerifier();
  for (let n = 0; n < 500; n += 1) {
    const text = macaroonToBase64(append(paid(keys).macaroon, `preimage=${randomBytes(32).toString('hex')}`));
    verifier.verify({ macaroons: [text], cacheKey: text }, quote, 'attacker');
  }
  assert.equal(seen.chains, 60);
});

test('credentials that hold are never counted, however many are new', () => {
  const { verifier, keys } = openVerifier();
  for (let n = 0; n < 500; n += 1) {
    assert.equal(verifier.verify(candidate(paid(keys)), quote, 'customer').kind, 'granted');
  }
});

test('tokens for other services that a client sends along cost no chain and are not counted', () => {
  const { verifier, seen, keys } = openVerifier();
  const other = candidate(paid(keys, 'other'));
  for (let n = 0; n < 500; n += 1) {
    const verdict = verifier.verify(other, quote, 'customer');
    assert.deepEqual(verdict, { kind: 'refused', reason: 'other-service' });
  }
  assert.equal(seen.chains, 0);
});

test('one who throttled himself takes nothing from other clients, nor from what is remembered', () => {
  const { verifier, keys } = openVerifier();
  const known = candidate(paid(keys));
  assert.equal(verifier.verify(known, quote, 'shared').kind, 'granted');
  for (let n = 0; n < 100; n += 1) verifier.verify(candidate(forged(keys)), quote, 'shared');
  assert.equal(verifier.verify(candidate(paid(keys)), quote, 'shared').kind, 'throttled');
  assert.equal(verifier.verify(known, quote, 'shared').kind, 'granted');
  assert.equal(verifier.verify(candidate(paid(keys)), quote, 'another').kind, 'granted');
});

test('a token with more caveats than a holder may append is refused before its chain is computed', () => {
  const { verifier, seen, keys } = openVerifier();
  const caveats = Array.from({ length: MAX_APPENDED_CAVEATS }, (_, n) => `note=${n}`);
  const credential = paid(keys);
  const most = { ...credential, macaroon: append(credential.macaroon, ...caveats) };
  assert.equal(verifier.verify(candidate(most), quote, 'customer').kind, 'granted');
  const over = { ...credential, macaroon: append(most.macaroon, 'note=last') };
  assert.deepEqual(verifier.verify(candidate(over), quote, 'customer'), {
    kind: 'refused',
    reason: 'bad-terms',
  });
  assert.equal(seen.chains, 1);
  assert.equal(verifier.readMacaroon(macaroonToBase64(over.macaroon), 'customer'), undefined);
  assert.equal(seen.chains, 1);
});

test('HEAD requests, helper endpoints and invoice look-ups share one bucket and answer 429 with Retry-After', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const good = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(good))).status, 200);
  const { macaroon, preimage } = partsOf(good);
  const text = macaroonToBase64({ ...macaroon, signature: randomBytes(32) });
  const bad = `L402 ${text}:${preimage}`;
  const head = withCredential(bad, { method: 'HEAD' });
  for (let n = 0; n < 60; n += 1) assert.equal((await fetch(`${gateway.url}/quote`, head)).status, 402);
  const answers = [
    await fetch(`${gateway.url}/quote`, head),
    await fetch(`${gateway.url}/.l402/account`, withCredential(bad)),
    await fetch(`${gateway.url}/.l402/invoices/${'00'.repeat(32)}`, {
      headers: { 'L402-Macaroon': text },
    }),
  ];
  for (const answer of answers) {
    assert.equal(answer.status, 429);
    assert.equal(answer.headers.get('retry-after'), '1');
    assert.equal(answer.headers.get('www-authenticate'), null);
    await answer.body?.cancel();
  }
  const still = await fetch(`${gateway.url}/.l402/account`, withCredential(good));
  assert.equal(still.status, 200, 'what was verified before goes on');
  await still.body?.cancel();
});
