import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLog, type Log, type LogOptions } from '../../gateway/observe/log.ts';
import { scrub, scrubText } from '../../gateway/observe/scrub.ts';

const MACAROON =
  'AgEEbHNhdAJCAAAC1EmjH7smfI81Lplop54+X8lcG76qUC/WRU695aS+3KqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqAAITc2VydmljZXM9c2VydmljZTE6MAAABiACDh05WbXyaYZblFTrMwJiZScY1qaUrGs9j5vGypApAw==';
const MACAROON_URL = MACAROON.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const MACAROON_HEX = Buffer.from(MACAROON, 'base64').toString('hex');
const PREIMAGE = '1f'.repeat(32);
const PREIMAGE_BASE64 = Buffer.from(PREIMAGE, 'hex').toString('base64');
const HASH = '02d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc';
const SECRETS = [MACAROON, MACAROON_URL, MACAROON_HEX, PREIMAGE, PREIMAGE_BASE64, 'hunter2hunter2'];

function capture(options: Partial<LogOptions> = {}): { log: Log; text: () => string } {
  let written = '';
  const destination = { write: (text: string) => (written += text) };
  return {
    log: createLog({ level: 'debug', format: 'json', destination, ...options }),
    text: () => written,
  };
}

function assertNoSecret(text: string): void {
  for (const secret of SECRETS) {
    const needle = secret.slice(8, 40).toLowerCase();
    assert.ok(!text.toLowerCase().includes(needle), `a secret was written: ${needle.slice(0, 6)}…`);
  }
}

const HOSTILE: Readonly<Record<string, unknown>> = {
  header: `Authorization: L402 ${MACAROON}:${PREIMAGE}`,
  scheme: `bearer ${MACAROON}:${PREIMAGE}`,
  basic: `Basic ${Buffer.from('user:hunter2hunter2').toString('base64')} and http://user:hunter2hunter2@host/`,
  url: `/quote?a=1&t=${MACAROON_URL}:${PREIMAGE}&b=2`,
  encoded: `/quote?t=${encodeURIComponent(MACAROON)}%3A${PREIMAGE}`,
  bare: [MACAROON, MACAROON_URL, MACAROON_HEX, PREIMAGE, PREIMAGE_BASE64],
  preimage: PREIMAGE,
  r_preimage: PREIMAGE_BASE64,
  'Grpc-Metadata-Macaroon': MACAROON_HEX,
  'L402-Macaroon': MACAROON,
  masterKeys: [PREIMAGE, PREIMAGE],
  bytes: Buffer.from(PREIMAGE, 'hex'),
  typed: new Uint8Array(Buffer.from(PREIMAGE, 'hex')),
  headers: { authorization: `L402 ${MACAROON}:${PREIMAGE}`, cookie: 'session=hunter2hunter2' },
  rawHeaders: ['Host', 'x', 'Authorization', 'hunter2hunter2', 'X-Api-Key', 'hunter2hunter2'],
  map: new Map([['macaroon', MACAROON]]),
  set: new Set([PREIMAGE]),
  fetchHeaders: new Headers({ Authorization: 'hunter2hunter2' }),
  uri: new URL(`http://u:hunter2hunter2@localhost/?t=${PREIMAGE}`),
  error: new Error(`refused ${MACAROON}`, { cause: new Error(`key ${PREIMAGE}`) }),
  attached: Object.assign(new Error('x'), { request: { headers: { Authorization: 'hunter2hunter2' } } }),
  pem: '-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----',
  json: JSON.stringify({ macaroon: MACAROON, preimage: PREIMAGE, password: 'hunter2hunter2' }),
  [PREIMAGE]: 'as a name',
  deep: { a: { b: { c: { preimage: PREIMAGE, list: [{ text: `L402 ${MACAROON}:${PREIMAGE}` }] } } } },
};

for (const format of ['json', 'pretty'] as const) {
  test(`no macaroon, preimage, key or Authorization reaches the ${format} log`, () => {
    const { log, text } = capture({ format });
    log.error('everything at once', HOSTILE);
    for (const [name, value] of Object.entries(HOSTILE)) {
      log.info(typeof value === 'string' ? value : name, { [name]: value, value });
      log.child({ value }).warn('from a child');
    }
    log.access({
      method: 'GET',
      path: `/quote/${MACAROON_URL}/${PREIMAGE}?t=${MACAROON}`,
      service: 'quote',
      outcome: 'served',
      status: 200,
      ms: 1,
    });
    assert.ok(text().length > 1000);
    assertNoSecret(text());
  });
}

test('a request is logged without its credential headers and without the credential in its query', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = get({
    port,
    path: `/quote?t=${MACAROON_URL}:${PREIMAGE}&page=2`,
    headers: { Authorization: `L402 ${MACAROON}:${PREIMAGE}`, 'User-Agent': 'test' },
  });
  client.on('error', () => {});
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  const { log, text } = capture();
  log.info('a request', { req: request });
  client.destroy();
  server.close();
  await once(server, 'close');
  assertNoSecret(text());
  assert.match(text(), /"method":"GET"/);
  assert.match(text(), /page=2/);
  assert.match(text(), /"user-agent":"test"/);
});

test('a payment hash and an account id stay whole under their names, and other long hex keeps eight digits', () => {
  assert.deepEqual(scrub({ paymentHash: HASH, account: HASH, other: HASH }), {
    paymentHash: HASH,
    account: HASH,
    other: '02d449a3…',
  });
});

test('plain messages of our own stay readable', () => {
  for (const text of [
    'Payment required: sent an L402 challenge',
    'GET /quote → 200 served',
    'The token is not valid any more',
    'listening on http://127.0.0.1:8402',
    'read ./.sluice/admin.token',
  ]) {
    assert.equal(scrubText(text), text);
  }
});

test('scrubbing survives cycles, depth, size and getters that throw', () => {
  const cycle: Record<string, unknown> = { name: 'a' };
  cycle['self'] = cycle;
  assert.deepEqual(scrub(cycle), { name: 'a', self: '[circular]' });
  assert.equal(
    scrub({
      get bad(): never {
        throw new Error('no');
      },
    }),
    '[unreadable]',
  );
  assert.ok(JSON.stringify(scrub('x'.repeat(1_000_000))).length < 5000);
  assert.ok(JSON.stringify(scrub(Array.from({ length: 100_000 }, () => 'y'))).length < 5000);
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withMap: true, withSet: true, withTypedArray: true }),
      (value) => {
        JSON.stringify(scrub({ value, preimage: PREIMAGE }));
      },
    ),
    { numRuns: 300 },
  );
});

test('a macaroon and a preimage are hidden wherever they stand in a text', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 200 }),
      fc.constantFrom(' ', '"', ':', '=', '/', '?', ','),
      fc.constantFrom(MACAROON, MACAROON_URL, MACAROON_HEX, PREIMAGE),
      (around, border, secret) => {
        assertNoSecret(scrubText(`${around}${border}${secret}${border}${around}`));
      },
    ),
    { numRuns: 500 },
  );
});

test('an access line has the method, the path without its query, the outcome and the price', () => {
  const { log, text } = capture();
  assert.equal(log.accessEnabled, true);
  log.access({
    method: 'GET',
    path: '/quote?page=2',
    service: 'quote',
    outcome: 'served',
    status: 200,
    ms: 1.26,
    msat: 10_000,
  });
  const { time, ...line } = JSON.parse(text());
  assert.equal(typeof time, 'number');
  assert.deepEqual(line, {
    level: 'info',
    access: true,
    method: 'GET',
    path: '/quote',
    service: 'quote',
    outcome: 'served',
    status: 200,
    ms: 1.3,
    msat: 10_000,
  });
});

test('above level info there are no access lines and building one can be skipped', () => {
  const { log, text } = capture({ level: 'warn' });
  assert.equal(log.accessEnabled, false);
  log.access({ method: 'GET', path: '/', service: undefined, outcome: 'free', status: 200, ms: 1 });
  log.info('not said');
  log.warn('said');
  assert.equal(text().split('\n').length, 2);
});

test('a pretty line is short and can not move the cursor of a terminal', () => {
  const { log, text } = capture({ format: 'pretty', colour: false });
  log.info('listening', { url: 'http://127.0.0.1:8402', tries: 2 });
  log.access({
    method: 'GET',
    path: '/a\u001b[2Jb',
    service: 'quote',
    outcome: 'served',
    status: 200,
    ms: 2,
    msat: 10,
  });
  log.warn('odd\r\nforged line\u009b2J');
  const [first, second, third] = text().split('\n');
  assert.match(first ?? '', /^\d\d:\d\d:\d\d info {2}listening {2}url=http:\/\/127.0.0.1:8402 {2}tries=2$/);
  assert.match(second ?? '', / GET \/a\\u001b\[2Jb → 200 served \(quote 10 msat, 2 ms\)$/);
  assert.match(third ?? '', /odd\\u000d\\u000aforged line\\u009b2J$/);
});

test('an error is logged with its type, message, stack and cause', () => {
  const { log, text } = capture();
  log.error('it failed', { err: new TypeError('bad thing', { cause: new Error('deeper') }) });
  const { err } = JSON.parse(text());
  assert.equal(err.type, 'TypeError');
  assert.equal(err.message, 'bad thing');
  assert.match(err.stack, /log\.test\.ts/);
  assert.equal(err.cause.message, 'deeper');
});

test('lines that were buffered are written when the process ends, also by process.exit', () => {
  const module = new URL('../../gateway/observe/log.ts', import.meta.url).href;
  const script = `
    const { createLog } = await import(${JSON.stringify(module)});
    const log = createLog({ level: 'info', format: 'json' });
    log.info('first');
    for (let n = 0; n < 500; n += 1) {
      log.access({ method: 'GET', path: '/' + n, service: 'a', outcome: 'served', status: 200, ms: 1 });
    }
    process.exit(0);`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const paths = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).path);
  assert.equal(paths.length, 501);
  assert.equal(paths.at(-1), '/499');
});
