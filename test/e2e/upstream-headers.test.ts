import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { macaroonToBase64 } from '../../gateway/l402/macaroon.ts';
import { ask, rawClient, startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { buy, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { append, openScene, partsOf, portOf, termsOf, toService } from './scene.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
/** Each request as the upstream read it: its request line's target and all header lines. */
let seen: { readonly url: string; readonly rawHeaders: readonly string[] }[] = [];

before(async () => {
  upstream = await startUpstream((req, res) => {
    seen.push({ url: req.url ?? '', rawHeaders: req.rawHeaders });
    res.end('paid for');
  });
  const base = { upstream: upstream.origin, price: '90 sat for 9 calls' };
  gateway = await startTestGateway(
    [
      toService({ ...base }),
      toService({ ...base, name: 'query', path: '/query', credentialInQuery: true }),
      toService({ ...base, name: 'own', path: '/own', credentialHeader: 'x-pay' }),
      toService({
        ...base,
        name: 'keyed',
        path: '/keyed',
        requestHeaders: { Authorization: 'Bearer upstream', 'X-Key': 'secret' },
      }),
      toService({ ...base, name: 'pass', path: '/pass', price: '10 sat for 10m' }),
      toService({ ...base, name: 'free', path: '/free', price: 'free' }),
    ],
    { config: { identitySecret: 'a secret of sixteen bytes or more' } },
  );
});
after(async () => {
  await gateway.stop();
  await upstream.close();
});

/** Sends raw header lines, and gives what the upstream saw of it. */
async function send(
  target: string,
  lines: readonly string[],
): Promise<{ text: string; seen: (typeof seen)[number] | undefined }> {
  seen = [];
  const client = await rawClient(
    portOf(gateway),
    [`GET ${target} HTTP/1.1`, 'Host: shop.example', 'Connection: close', ...lines, '', ''].join('\r\n'),
  );
  await client.ended();
  assert.ok(seen.length <= 1);
  return { text: client.text(), seen: seen[0] };
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Every place and form in which a credential may stand (wire.md of the L402 ecosystem; SDKs that know only an API key or a URL). */
const PLACES: Readonly<
  Record<
    string,
    (macaroon: string, preimage: string, all: string) => { target?: string; lines?: readonly string[] }
  >
> = {
  L402: (_m, _p, all) => ({ lines: [`Authorization: L402 ${all}`] }),
  'lsat in lower case': (_m, _p, all) => ({ lines: [`authorization: lsat ${all}`] }),
  'url-safe base64 without padding, preimage in capitals': (macaroon, preimage) => ({
    lines: [`Authorization: L402 ${urlSafe(macaroon)}:${preimage.toUpperCase()}`],
  }),
  Bearer: (_m, _p, all) => ({ lines: [`Authorization: Bearer ${all}`] }),
  'Basic password': (_m, _p, all) => ({
    lines: [`Authorization: Basic ${Buffer.from(`user:${all}`).toString('base64')}`],
  }),
  'Basic user and password': (_m, _p, all) => ({
    lines: [`Authorization: Basic ${Buffer.from(all).toString('base64')}`],
  }),
  twice: (_m, _p, all) => ({ lines: [`Authorization: L402 ${all}`, `AUTHORIZATION: L402 ${all}`] }),
  'behind the upstream’s own': (_m, _p, all) => ({
    lines: ['Authorization: Token theirs', `Authorization: L402 ${all}`],
  }),
  'hex in Macaroon': (macaroon, preimage) => ({ lines: [`Macaroon: ${hexWith(macaroon, preimage)}`] }),
  'hex in Grpc-Metadata-Macaroon': (macaroon, preimage) => ({
    lines: [`Grpc-Metadata-Macaroon: ${hexWith(macaroon, preimage)}`],
  }),
  'as lnget: in header and caveat': (macaroon, preimage) => ({
    lines: [
      `Authorization: L402 ${Buffer.from(hexWith(macaroon, preimage), 'hex').toString('base64')}:${preimage}`,
    ],
  }),
  'among the macaroons of other services': (macaroon, preimage) => ({
    lines: [`Authorization: L402 ${Buffer.alloc(120, 9).toString('base64')},${macaroon}:${preimage}`],
  }),
  query: (_m, _p, all) => ({ target: `/query?a=1&t=${encodeURIComponent(all)}&b=%2f` }),
  'query, plus signs as they are': (_m, _p, all) => ({ target: `/query?t=${all}&a=1&b=%2f` }),
  'header of its own': (_m, _p, all) => ({
    target: '/own',
    lines: [`X-Pay: ${all}`, 'Authorization: Token theirs'],
  }),
  'header of its own, with a scheme': (_m, _p, all) => ({ target: '/own', lines: [`x-pay: L402 ${all}`] }),
};

function hexWith(macaroonBase64: string, preimage: string): string {
  const { macaroon } = partsOf(`L402 ${macaroonBase64}:${preimage}`);
  return Buffer.from(macaroonToBase64(append(macaroon, `preimage=${preimage}`)), 'base64').toString('hex');
}

for (const [place, write] of Object.entries(PLACES)) {
  test(`a credential pays, and never reaches the upstream: ${place}`, async () => {
    const path = /query/.test(place) ? '/query' : /of its own/.test(place) ? '/own' : '/quote';
    const credential = await buy(gateway, path);
    const all = credential.slice('L402 '.length);
    const [macaroon = '', preimage = ''] = all.split(':');
    const { target = path, lines = [] } = write(macaroon, preimage, all);
    const answer = await send(target, lines);
    assert.match(answer.text, /^HTTP\/1\.1 200 /);
    const forwarded = JSON.stringify(answer.seen).toLowerCase();
    for (const secret of [
      preimage,
      macaroon.slice(0, 24),
      macaroon.slice(40, 80),
      'l402 ',
      'lsat',
      '0201046c736174',
    ])
      assert.ok(!forwarded.includes(secret.toLowerCase()), `${secret} in ${forwarded}`);
    assert.equal(
      forwarded.includes('token theirs'),
      lines.some((line) => line.includes('theirs')),
    );
    if (place === 'query') assert.equal(answer.seen?.url, '/query?a=1&b=%2f');
  });
}

test('a query is a credential only where the service says so', async () => {
  const credential = (await buy(gateway, '/quote')).slice('L402 '.length);
  assert.match((await send(`/quote?t=${encodeURIComponent(credential)}`, [])).text, /^HTTP\/1\.1 402 /);
  assert.equal((await send('/free?t=1&a=2', [])).seen?.url, '/free?t=1&a=2');
});

test('a free service sees no credential either', async () => {
  const credential = await buy(gateway, '/quote');
  const answer = await send('/free', [`Authorization: ${credential}`]);
  assert.match(answer.text, /^HTTP\/1\.1 200 /);
  assert.ok(!JSON.stringify(answer.seen).includes(partsOf(credential).preimage));
});

function headerOf(request: (typeof seen)[number] | undefined, name: string): string[] {
  const raw = request?.rawHeaders ?? [];
  return raw.filter((_, at) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === name);
}

test('the upstream learns who paid and how much, under a signature over time, method and target', async () => {
  const credential = await buy(gateway, '/quote');
  const { seen: request } = await send('/quote?x=%20y', [`Authorization: ${credential}`]);
  const { accountId } = termsOf(credential);
  assert.deepEqual(headerOf(request, 'l402-account'), [accountId]);
  assert.deepEqual(headerOf(request, 'l402-paid-msat'), ['10000']);
  const [signature = ''] = headerOf(request, 'l402-signature');
  const [, time = '', mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  assert.equal(Number(time), Math.floor(gateway.clock.ms / 1000));
  const signed = `${time}.${accountId}.10000.GET./quote?x=%20y`;
  const expected = createHmac('sha256', 'a secret of sixteen bytes or more').update(signed).digest('hex');
  assert.equal(mac, expected);
});

test('a pass pays 0 a call, and the account is still named', async () => {
  const credential = await buy(gateway, '/pass');
  const { seen: request } = await send('/pass', [`Authorization: ${credential}`]);
  assert.deepEqual(headerOf(request, 'l402-paid-msat'), ['0']);
  assert.deepEqual(headerOf(request, 'l402-account'), [termsOf(credential).accountId]);
});

test('nobody else can say who paid: forged, doubled, underscored, or taken away through Connection', async () => {
  const credential = await buy(gateway, '/quote');
  const { seen: request } = await send('/quote', [
    `Authorization: ${credential}`,
    'L402-Account: victim',
    'l402_account: victim',
    'L402-Paid-Msat: 99',
    'L402-Signature: t=1,v1=00',
    'Connection: L402-Account, L402-Signature',
  ]);
  assert.deepEqual(headerOf(request, 'l402-account'), [termsOf(credential).accountId]);
  assert.equal(headerOf(request, 'l402-signature').length, 1);
  assert.ok(!JSON.stringify(request).includes('victim'));
  const free = await send('/free', ['L402-Account: victim', 'L402-Signature: t=1,v1=00']);
  assert.ok(!JSON.stringify(free.seen).toLowerCase().includes('l402'));
});

test('the operator’s own headers replace the client’s, also its Authorization', async () => {
  const credential = await buy(gateway, '/keyed');
  const { seen: request } = await send('/keyed', [
    `Authorization: ${credential}`,
    'Authorization: Bearer guessed',
    'X-Key: guessed',
  ]);
  assert.deepEqual(headerOf(request, 'authorization'), ['Bearer upstream']);
  assert.deepEqual(headerOf(request, 'x-key'), ['secret']);
});

test('without a secret the headers stand unsigned', async (t) => {
  const scene = openScene(t);
  const target = await scene.upstream();
  const shop = await scene.gateway([{ price: '10 sat', upstream: target.origin }]);
  const credential = await buy(shop, '/quote');
  await ask(`${shop.url}/quote`, { headers: { Authorization: credential } });
  const headers = target.seen[0]?.headers;
  assert.equal(headers?.['l402-account'], termsOf(credential).accountId);
  assert.equal(headers?.['l402-signature'], undefined);
});
