import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { macaroonToBase64, mintMacaroon } from '../../gateway/l402/macaroon.ts';
import { CLAIM_GRACE_SEC } from '../../gateway/ledger/store.ts';
import { ask, rawClient, startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { askChallenge, buy, startTestGateway, type TestGateway, withCredential } from '../support/gateway.ts';
import { append, appended, balanceOf, openScene, partsOf, portOf, termsOf, toService } from './scene.ts';

/* Every refusal is a 402 with a fresh challenge, costs nobody anything, and reaches no upstream. */

let upstream: TestUpstream;
let gateway: TestGateway;
let hits = 0;

before(async () => {
  upstream = await startUpstream((_req, res) => {
    hits += 1;
    res.end('paid for');
  });
  gateway = await startTestGateway([
    toService({ price: '50 sat for 5 calls', upstream: upstream.origin }),
    toService({ name: 'other', path: '/other', price: '50 sat for 5 calls', upstream: upstream.origin }),
    toService({ name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: upstream.origin }),
    toService({
      name: 'rights',
      path: '/rights',
      price: '10 sat for 10m',
      capabilities: 'read,write',
      upstream: upstream.origin,
    }),
  ]);
});
after(async () => {
  await gateway.stop();
  await upstream.close();
});

/** Presents something that must not pay, and says what the gateway made of it. */
async function refused(authorization: string, path = '/quote'): Promise<string> {
  const before = { hits, totals: await gateway.store.totals() };
  const challenge = await askChallenge(gateway.url + path, withCredential(authorization));
  assert.equal(hits, before.hits, 'the upstream was asked');
  assert.deepEqual(await gateway.store.totals(), before.totals, 'the books changed');
  return challenge.reason;
}

/** Changes a credential's macaroon, the preimage stays. */
function altered(authorization: string, change: (caveats: readonly string[]) => readonly string[]): string {
  const { macaroon, preimage } = partsOf(authorization);
  return `L402 ${macaroonToBase64({ ...macaroon, caveats: change(macaroon.caveats) })}:${preimage}`;
}

const PREIMAGE = '11'.repeat(32);

for (const [what, value] of [
  ['an empty one', 'L402 '],
  ['no preimage', 'L402 AgEEbHNhdAJCAAA='],
  ['a preimage that is too short', `L402 AgEEbHNhdAJCAAA=:${PREIMAGE.slice(2)}`],
  ['a preimage that is no hex', `L402 AgEEbHNhdAJCAAA=:${'zz'.repeat(32)}`],
  ['a macaroon that is no base64', `L402 %%%:${PREIMAGE}`],
  ['a macaroon of bytes that mean nothing', `L402 ${Buffer.alloc(200, 7).toString('base64')}:${PREIMAGE}`],
  ['a macaroon of 8 KB and more', `L402 ${Buffer.alloc(9_000, 2).toString('base64')}:${PREIMAGE}`],
  ['a thousand commas', `L402 ${'a,'.repeat(1_000)}:${PREIMAGE}`],
  ['a V1 macaroon', `L402 ${Buffer.from('0017location lsat\n').toString('base64')}:${PREIMAGE}`],
] as const) {
  test(`malformed: ${what} is challenged and not called an error`, async () => {
    assert.match(await refused(value), /^(malformed|no-credential|bad-preimage)$/);
  });
}

test('oversized: a credential beyond the header limit is a 431 that costs no invoice', async () => {
  const open = gateway.simnet.openInvoices();
  const { status } = await ask(`${gateway.url}/quote`, {
    headers: { Authorization: `L402 ${'A'.repeat(40_000)}:${PREIMAGE}` },
  });
  assert.equal(status, 431);
  assert.equal(gateway.simnet.openInvoices(), open);
});

test('oversized: a macaroon with more than 64 caveats, however well signed', async () => {
  const credential = await buy(gateway, '/quote');
  const { macaroon, preimage } = partsOf(credential);
  // Written by hand: the encoder would refuse to.
  const many = append(macaroon, ...Array.from({ length: 70 }, (_, n) => `x=${n}`));
  const field = (tag: number, data: Buffer) => Buffer.concat([Buffer.of(tag, data.length), data]);
  const bytes = Buffer.concat([
    Buffer.of(2),
    field(1, Buffer.from('lsat')),
    field(2, many.identifier),
    Buffer.of(0),
    ...many.caveats.map((caveat) => Buffer.concat([field(2, Buffer.from(caveat)), Buffer.of(0)])),
    Buffer.of(0),
    field(6, many.signature),
  ]);
  assert.equal(await refused(`L402 ${bytes.toString('base64')}:${preimage}`), 'malformed');
});

test('duplicated: of several credentials the first that pays is charged, once, and none is forwarded', async () => {
  const [one, two] = [await buy(gateway, '/quote'), await buy(gateway, '/quote')];
  const client = await rawClient(
    portOf(gateway),
    `GET /quote HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: L402 AAAA:${PREIMAGE}\r\n` +
      `Authorization: ${one}\r\nauthorization: ${two}\r\nAuthorization: ${one}\r\n\r\n`,
  );
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 200 /);
  assert.equal(await balanceOf(gateway, one), 40_000);
  assert.equal(await gateway.store.account(termsOf(two).accountId), undefined);
});

test('forged: a macaroon under a key of somebody else, with the right preimage', async () => {
  const credential = await buy(gateway, '/quote');
  const { macaroon, preimage } = partsOf(credential);
  const forged = mintMacaroon(randomBytes(32), macaroon.identifier, macaroon.caveats);
  assert.equal(await refused(`L402 ${macaroonToBase64(forged)}:${preimage}`), 'bad-signature');
});

test('forged: a macaroon for a payment hash of the forger’s own choice', async () => {
  const preimage = randomBytes(32);
  const hash = createHash('sha256').update(preimage).digest();
  const { macaroon } = partsOf(await buy(gateway, '/quote'));
  const identifier = Buffer.concat([Buffer.alloc(2), hash, randomBytes(32)]);
  const forged = macaroonToBase64({ ...macaroon, identifier });
  assert.equal(await refused(`L402 ${forged}:${preimage.toString('hex')}`), 'bad-signature');
});

for (const [what, change] of [
  ['more credit', (text: string) => text.replace(/^quote_credit_msat=.*/, 'quote_credit_msat=99000000')],
  ['a lower price', (text: string) => text.replace(/^quote_price=.*/, 'quote_price=1msat/call')],
  ['a later expiry', (text: string) => text.replace(/^quote_valid_until=.*/, 'quote_valid_until=4000000000')],
  [
    'another account',
    (text: string) => text.replace(/^quote_account=.*/, `quote_account=${'ab'.repeat(32)}`),
  ],
] as const) {
  test(`forged: ${what} written into the signed terms`, async () => {
    const credential = await buy(gateway, '/quote');
    assert.equal(await refused(altered(credential, (caveats) => caveats.map(change))), 'bad-signature');
  });
}

test('forged: the terms in another order', async () => {
  const credential = await buy(gateway, '/quote');
  assert.equal(await refused(altered(credential, (caveats) => caveats.toReversed())), 'bad-signature');
  assert.equal(await refused(altered(credential, (caveats) => caveats.slice(0, -1))), 'bad-signature');
});

test('the terms count only where they were minted: a second prefix behind the first is refused', async () => {
  const credential = await buy(gateway, '/quote');
  const { macaroon } = partsOf(credential);
  assert.equal(await refused(appended(credential, ...macaroon.caveats)), 'bad-terms');
});

for (const [what, caveat] of [
  ['credit', 'quote_credit_msat=99000000'],
  ['less credit', 'quote_credit_msat=0'],
  ['a price', 'quote_price=1msat/call'],
  ['a service', 'services=other:0'],
  ['a condition of our own that nobody knows', 'quote_anything=1'],
  ['a money caveat in capitals and blanks', ' QUOTE_CREDIT_MSAT=99000000'],
  ['a later expiry', 'quote_valid_until=4000000000'],
  ['capabilities that can’t be read', 'quote_capabilities='],
] as const) {
  test(`appended: ${what} refuses the credential`, async () => {
    assert.equal(await refused(appended(await buy(gateway, '/quote'), caveat)), 'bad-terms');
  });
}

test('appended: the account of a victim can’t be spent', async () => {
  const victim = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(victim));
  const thief = await buy(gateway, '/quote');
  const theft = appended(thief, `quote_account=${termsOf(victim).accountId}`);
  assert.equal(await refused(theft), 'bad-terms');
  assert.equal(await balanceOf(gateway, victim), 40_000);
});

test('appended: a pass does not become credit', async () => {
  const pass = await buy(gateway, '/pass');
  assert.equal(await refused(appended(pass, 'pass_credit_msat=10000'), '/pass'), 'bad-terms');
});

test('a credential of another service buys nothing here, whichever way it is turned', async () => {
  const other = await buy(gateway, '/other');
  assert.equal(await refused(other), 'other-service');
  assert.equal(await refused(appended(other, 'services=quote:0')), 'other-service');
  const renamed = altered(other, (caveats) => ['services=quote:0', ...caveats.slice(1)]);
  assert.equal(await refused(renamed), 'bad-signature');
  assert.equal((await fetch(`${gateway.url}/other`, withCredential(other))).status, 200);
  assert.equal(await refused(other), 'other-service');
});

test('a preimage that does not open the payment hash', async () => {
  const one = await buy(gateway, '/quote');
  const two = await buy(gateway, '/quote');
  const swapped = `${one.slice(0, one.indexOf(':'))}:${partsOf(two).preimage}`;
  assert.equal(await refused(swapped), 'bad-preimage');
  const hash = partsOf(one).macaroon.identifier.subarray(2, 34).toString('hex');
  assert.equal(await refused(`${one.slice(0, one.indexOf(':'))}:${hash}`), 'bad-preimage');
  assert.equal(await refused(one.slice(0, one.indexOf(':'))), 'bad-preimage');
  // As lnget does it: in the header and in a caveat. A wrong one in either place refuses.
  assert.equal(await refused(appended(one, `preimage=${partsOf(two).preimage}`)), 'bad-preimage');
});

test('a credential narrowed to other capabilities, or to the past, is no good', async () => {
  const rights = await buy(gateway, '/rights');
  assert.equal(await refused(appended(rights, 'rights_capabilities=read'), '/rights'), 'narrowed-away');
  const past = Math.floor(gateway.clock.ms / 1000) - 1;
  assert.equal(await refused(appended(rights, `rights_valid_until=${past}`), '/rights'), 'expired');
  const wider = appended(rights, 'rights_capabilities=read', 'rights_capabilities=read,write');
  assert.equal(await refused(wider, '/rights'), 'bad-terms');
});

test('a revoked account: its credential, and one narrowed from it', async () => {
  const credential = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(credential));
  await fetch(`${gateway.adminUrl}/api/accounts/${termsOf(credential).accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.equal(await refused(credential), 'revoked');
  assert.equal(await refused(appended(credential, 'purpose=mine')), 'revoked');
});

test('a narrowed credential works, but spent it buys for a new account, the whole one for its own', async () => {
  const whole = await buy(gateway, '/quote');
  const soon = Math.floor(gateway.clock.ms / 1000) + 3_600;
  const narrowed = appended(whole, `quote_valid_until=${soon}`, 'purpose=lent');
  for (let call = 0; call < 5; call += 1)
    assert.equal((await fetch(`${gateway.url}/quote`, withCredential(narrowed))).status, 200);
  const forNarrowed = await askChallenge(`${gateway.url}/quote`, withCredential(narrowed));
  assert.equal(forNarrowed.reason, 'spent');
  assert.notEqual(termsOf(`L402 ${forNarrowed.macaroon}:`).accountId, termsOf(whole).accountId);
  const forWhole = await askChallenge(`${gateway.url}/quote`, withCredential(whole));
  assert.equal(termsOf(`L402 ${forWhole.macaroon}:`).accountId, termsOf(whole).accountId);
  // A preimage in a caveat narrows nothing.
  const asLnget = appended(whole, `preimage=${partsOf(whole).preimage}`);
  const forLnget = await askChallenge(`${gateway.url}/quote`, withCredential(asLnget));
  assert.equal(termsOf(`L402 ${forLnget.macaroon}:`).accountId, termsOf(whole).accountId);
});

test('bought, spent, purged and presented again: it stays spent, also when the clock is set back', async (t) => {
  const scene = openScene(t);
  const target = await scene.upstream();
  const wares = [
    { price: '10 sat', upstream: target.origin },
    { name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: target.origin },
  ];
  const shop = await scene.gateway(wares);
  const call = await buy(shop, '/quote');
  const pass = await buy(shop, '/pass');
  await fetch(`${shop.url}/quote`, withCredential(call));
  await fetch(`${shop.url}/pass`, withCredential(pass));
  const boughtAtMs = shop.clock.ms;
  shop.clock.ms = (termsOf(call).validUntilSec + CLAIM_GRACE_SEC + 1) * 1000;
  while ((await shop.store.purge()).more);
  assert.equal((await shop.store.totals()).claims, 0);

  const clock = { ms: boughtAtMs };
  const restarted = await scene.gateway(wares, { store: shop.store, clock });
  for (const [path, credential] of [
    ['/quote', call],
    ['/pass', pass],
  ] as const) {
    const late = await askChallenge(shop.url + path, withCredential(credential));
    assert.equal(late.reason, 'expired');
    // A gateway whose clock went back believes the credential; the store does not, and would believe no new one either.
    const again = await fetch(restarted.url + path, withCredential(credential));
    assert.equal(again.status, 503);
    assert.match(await again.text(), /"code":"clock-ahead"/);
  }
  assert.equal(target.seen.length, 2);
});

test('one payment buys one thing: a second macaroon on the same invoice finds it taken', async (t) => {
  const scene = openScene(t);
  const target = await scene.upstream();
  const shop = await scene.gateway([{ price: '10 sat', upstream: target.origin }]);
  const credential = await buy(shop, '/quote');
  const { macaroon } = partsOf(credential);
  await shop.store.claim({
    paymentHash: macaroon.identifier.subarray(2, 34).toString('hex'),
    accountId: 'cd'.repeat(32),
    service: 'quote',
    creditMsat: termsOf(credential).creditMsat,
    expiresAtSec: termsOf(credential).validUntilSec,
  });
  const { reason } = await askChallenge(`${shop.url}/quote`, withCredential(credential));
  assert.equal(reason, 'already-used');
  assert.equal(target.seen.length, 0);
});
