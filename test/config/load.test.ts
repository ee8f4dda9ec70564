import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { parseFlags } from '../../config/flags.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { ConfigError, type ConfigProblem } from '../../config/problem.ts';

const DIR = mkdtempSync(path.join(tmpdir(), 'sluice-config-'));
after(() => rmSync(DIR, { recursive: true, force: true }));
const FILE = path.join(DIR, 'sluice.yaml');

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly argv?: readonly string[];
}

/** Loads a text as ./sluice.yaml. */
function load(text: string, { env = {}, argv = [] }: Given = {}): LoadedConfig {
  writeFileSync(FILE, text);
  return loadConfig({ flags: parseFlags(argv), env, cwd: DIR });
}

/** Everything that is wrong with a text. */
function problems(text: string, given?: Given): readonly ConfigProblem[] {
  try {
    load(text, given);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return assert.fail('nothing was refused');
}

/** The message of a text's only problem, without the file's name. */
function refusal(text: string, given?: Given): string {
  const found = problems(text, given);
  assert.equal(found.length, 1, new ConfigError(found).message);
  return new ConfigError(found).message.replace(`${FILE}:`, '');
}

const SERVICE = `
services:
  - name: api
    price: 10 sat
    upstream: http://127.0.0.1:3000
`;

/** {@link SERVICE} with more keys, one service only. */
function withKeys(...lines: readonly string[]): string {
  return `${SERVICE}${lines.map((line) => `    ${line}\n`).join('')}`;
}

test('no invoice is made ahead unless it is asked for; a pool is refilled below half, and never below more than its size', () => {
  const pool = (keys: string) => `challenge: { invoicePool: { ${keys} } }${SERVICE}`;
  assert.equal(load(SERVICE).config.challenge.invoicePool, undefined);
  assert.deepEqual(load(pool('size: 5')).config.challenge.invoicePool, { size: 5, refillBelow: 3 });
  assert.match(refusal(pool('size: 5, refillBelow: 6')), /refillBelow.*is more than `size`/);
  assert.match(refusal(pool('refillBelow: 6')), /size/);
});

test('six lines are a configuration: everything else has a default', () => {
  const { config, warnings, source } = load(SERVICE);
  assert.deepEqual(source, { kind: 'file', file: FILE });
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.listen, [{ host: '127.0.0.1', port: 8402 }]);
  assert.deepEqual(config.admin, { host: '127.0.0.1', port: 8403 });
  assert.equal(config.dataDir, path.join(DIR, '.sluice'));
  assert.deepEqual(config.store, {
    type: 'sqlite',
    file: path.join(DIR, '.sluice/ledger.db'),
    spendDurability: 'normal',
    passGraceMs: 300_000,
  });
  assert.equal(config.node.type, 'simulated');
  assert.deepEqual(config.corsOrigins, ['*']);
  assert.deepEqual(config.services[0], {
    name: 'api',
    path: '/*',
    price: { kind: 'call', amountMsat: 10_000 },
    upstream: 'http://127.0.0.1:3000',
    requestHeaders: {},
    upstreamHost: 'upstream',
    chargeOn: [
      [200, 428],
      [430, 499],
    ],
    validForSec: 30 * 86_400,
    capabilities: 'all',
    credentialInQuery: false,
    cacheControl: 'private, no-store',
    connectTimeoutMs: 5_000,
    headersTimeoutMs: 60_000,
    idleTimeoutMs: 120_000,
    maxBodyBytes: 1_000_000_000,
  });
});

test('a configuration is frozen all the way down', () => {
  const { config } = load(SERVICE);
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(frozen));
  assert.ok(frozen(config));
});

test('every key is read, with its unit', () => {
  const { config } = load(`
listen: [":8402", { address: "[::1]:8443", tls: { cert: tls/c.pem, key: /k.pem } }]
admin: 8409
data: /var/lib/sluice
title: T
upstream: https://up.example.com:9000/base/
node: { type: lnd, url: "https://127.0.0.1:8080", grpcUrl: "https://127.0.0.1:10009/", macaroonFile: m, tlsCertFile: /t, network: signet, clientCertFile: c, clientKeyFile: /k, socksProxy: "socks5h://u:p@127.0.0.1:9050", privateHints: true }
store: { type: sqlite, file: x.db, spendDurability: full }
masterKeys: ["${'Aa'.repeat(32)}", "${'bb'.repeat(32)}"]
trustedProxies: [10.0.0.0/8, "::1"]
identitySecret: 0123456789abcdef
drainTimeout: 1m
log: { level: debug, format: pretty }
limits: { maxHeaderSize: 16KB, maxHeaders: 50, maxUrl: 8KB, maxConnections: 7, headersTimeout: 1s, keepAliveTimeout: 2s, idleTimeout: 3s, credentialCache: 1MB }
challenge: { invoiceExpiry: 5m, minInvoice: 2 sat, memo: M, burst: 1, perMinute: 2, maxOutstanding: 3, reserved: 0.5, maxPerClient: 4, nodeConcurrency: 5, nodeTimeout: 6s, legacyLsat: true, invoicePool: { size: 8, refillBelow: 3 } }
cors: [https://App.example.com, http://localhost:5173]
services:
  - name: a
    host: API.Example.com
    path: /v1/:id
    ignoreCase: true
    methods: [get, POST]
    price: 500 sat for 100 calls
    stripPrefix: /v1
    addPrefix: /x
    requestHeaders: { X-Key: secret }
    upstreamHost: preserve
    chargeOn: 2xx, 404, 4xx except 404 and 410-429
    validFor: 1 week
    capabilities: read,write
    credentialHeader: X-L402
    credentialInQuery: true
    cacheControl: upstream
    timeouts: { connect: 1s, headers: 2m, idle: 3h }
    maxBody: 5MB
`);
  assert.deepEqual(config.listen, [
    { host: '::', port: 8402 },
    { host: '::1', port: 8443, tls: { certFile: path.join(DIR, 'tls/c.pem'), keyFile: '/k.pem' } },
  ]);
  assert.deepEqual(config.admin, { host: '127.0.0.1', port: 8409 });
  assert.deepEqual(config.node, {
    type: 'lnd',
    url: 'https://127.0.0.1:8080',
    grpcUrl: 'https://127.0.0.1:10009',
    tlsCertFile: '/t',
    macaroonFile: path.join(DIR, 'm'),
    network: 'signet',
    clientCertFile: path.join(DIR, 'c'),
    clientKeyFile: '/k',
    socksProxy: 'socks5h://u:p@127.0.0.1:9050',
    privateHints: true,
  });
  assert.deepEqual(config.masterKeys, ['aa'.repeat(32), 'bb'.repeat(32)]);
  assert.deepEqual(config.limits, {
    maxHeaderBytes: 16_000,
    maxHeaderCount: 50,
    maxUrlBytes: 8_000,
    maxConnections: 7,
    headersTimeoutMs: 1_000,
    keepAliveTimeoutMs: 2_000,
    clientIdleTimeoutMs: 3_000,
    credentialCacheBytes: 1_000_000,
  });
  assert.deepEqual(config.challenge, {
    invoiceExpirySec: 300,
    minInvoiceMsat: 2_000,
    memo: 'M',
    burst: 1,
    perMinute: 2,
    shared: false,
    maxOutstanding: 3,
    reservedShare: 0.5,
    maxOutstandingPerClient: 4,
    nodeConcurrency: 5,
    nodeTimeoutMs: 6_000,
    legacyLsat: true,
    invoicePool: { size: 8, refillBelow: 3 },
  });
  assert.deepEqual(config.corsOrigins, ['https://app.example.com', 'http://localhost:5173']);
  const [service] = config.services;
  assert.equal(service?.upstream, 'https://up.example.com:9000/base');
  assert.equal(service?.host, 'api.example.com');
  assert.deepEqual(service?.methods, ['GET', 'POST']);
  assert.equal(service?.credentialHeader, 'x-l402');
  assert.deepEqual(service?.chargeOn, [
    [200, 299],
    [400, 409],
    [430, 499],
  ]);
});

test('every mistake is told at once, in the order of the file, with line, column, key and remedy', () => {
  const found = problems(`listen: nowhere
prot: 1
services:
  - name: Quote
    pirce: 10 sat
    price: 10
    upstream: ftp://h
`);
  assert.deepEqual(
    found.map(({ line, column, key }) => `${line}:${column} ${key}`),
    [
      '1:9 listen',
      '2:1 prot',
      '4:11 services[0].name',
      '5:5 services[0].pirce',
      '6:12 services[0].price',
      '7:15 services[0].upstream',
    ],
  );
  for (const { file, problem, remedy } of found) {
    assert.equal(file, FILE);
    assert.ok(problem.length > 5 && remedy.length > 5);
  }
});

/** One mistake each: the file, and what its message says. */
const MISTAKES: Readonly<Record<string, readonly [string, string]>> = {
  'an unknown key names the nearest': [
    withKeys('upstrem: x'),
    '6:5: services[0].upstrem is not a known key. Did you mean `upstream`?',
  ],
  'an unknown key like none lists those that are known': [
    `${SERVICE}log: { zzzzzz: 1 }\n`,
    '6:8: log.zzzzzz is not a known key. Known here: level, format.',
  ],
  'a price without a unit': [
    SERVICE.replace('10 sat', '10'),
    '4:12: services[0].price (`10`) is not a price: the number has no unit. Write for example `10 sat`.',
  ],
  'a price that is missing is not free': [
    SERVICE.replace('    price: 10 sat\n', ''),
    '3:5: services[0].price is missing. For example `price: 10 sat`.',
  ],
  'an empty price is not free': [
    SERVICE.replace('price: 10 sat', 'price:'),
    '4:11: services[0].price is empty, not text or a number. For example `price: 10 sat`.',
  ],
  'a fiat price': [
    SERVICE.replace('10 sat', '0.2 usd'),
    '4:12: services[0].price (`0.2 usd`) can not be sold yet. This version has no exchange rates yet: write the price in sat (`10 sat`).',
  ],
  'a bundle that msat can not divide': [
    SERVICE.replace('10 sat', '100 sat for 3 calls'),
    '4:12: services[0].price (`100 sat for 3 calls`) is not a price: each call of a bundle must cost a whole number of msat. Write for example `99999 msat for 3 calls`.',
  ],
  'no services': [
    'title: T\n',
    '1:1: services is missing. For example `services: [{"name":"api","path":"/*","price":"10 sat","upstream":"http://127.0.0.1:3000"}]`.',
  ],
  'an empty list of services': [
    'services: []\n',
    '2:11: services is empty. For example `services: [{"name":"api","path":"/*","price":"10 sat","upstream":"http://127.0.0.1:3000"}]`.',
  ],
  'a list where keys are wanted': [
    `${SERVICE}log: []\n`,
    '6:6: log is a list, not a group of keys. For example `log: {}`.',
  ],
  'a number where text is wanted': [
    `${SERVICE}title: 1.10\n`,
    '6:8: title (`1.10`) is a number to YAML, not text. Put it in quotes.',
  ],
  'a word that is no choice': [
    `${SERVICE}log: { level: warm }\n`,
    '6:15: log.level (`warm`) is not one of `debug`, `info`, `warn`, `error`, `silent`. Write `warn`.',
  ],
  'an unknown node': [
    `${SERVICE}node: { type: lnd2 }\n`,
    '6:15: node.type (`lnd2`) is not one of `simulated`, `lnd`. Write `lnd`.',
  ],
  'an unknown short node': [
    `${SERVICE}node: simulate\n`,
    '6:7: node (`simulate`) is not one of `simulated`, `lndconnect://…`. Write `simulated`.',
  ],
  'a time without unit': [
    `${SERVICE}drainTimeout: 30\n`,
    '6:15: drainTimeout (`30`) is not a length of time. Write a number and a unit: `500ms`, `30s`, `10m`, `24h`, `30 days`.',
  ],
  'a time out of range': [
    withKeys('timeouts: { connect: 1h }'),
    '6:26: services[0].timeouts.connect (`1h`) is not between 10ms and 10m. Write a time from `10ms` to `10m`.',
  ],
  'a binary size': [
    withKeys('maxBody: 1KiB'),
    '6:14: services[0].maxBody (`1KiB`) is not a size. Write a number and a unit: `512 bytes`, `16KB`, `1MB`, `1GB` (KB is 1,000 bytes).',
  ],
  'a number out of range': [
    `${SERVICE}limits: { maxHeaders: 3 }\n`,
    '6:23: limits.maxHeaders (`3`) is not a whole number from 20 to 2000. Write one of them.',
  ],
  'neither yes nor no': [
    `${SERVICE}allowPlayMoney: yes\n`,
    '6:17: allowPlayMoney (`yes`) is neither true nor false. Write `true` or `false`.',
  ],
  'a port that is none': [
    `${SERVICE}listen: 127.0.0.1:84020\n`,
    '6:9: listen (`127.0.0.1:84020`) is not an address and a port. Write for example `127.0.0.1:8402`, `[::1]:8402`, or `:8402` for every address.',
  ],
  'HEAD as a method': [
    withKeys('methods: [GET, HEAD]'),
    '6:20: services[0].methods[1] (`HEAD`) is not a method to name. Write `GET`: HEAD is priced as GET.',
  ],
  'a mistyped method': [
    withKeys('methods: DELET'),
    '6:14: services[0].methods (`DELET`) is not a method that can be sold. Write for example `DELETE`.',
  ],
  'a status that is none': [
    withKeys('chargeOn: [2xx, 6xx]'),
    '6:15: services[0].chargeOn names no statuses from 200 to 599. Write `2xx`, `404`, `400-428` or `4xx except 429`, several in a list.',
  ],
  'a host with a port': [
    withKeys('host: a.example.com:80'),
    '6:11: services[0].host (`a.example.com:80`) is not a host name. Write a host name without scheme, port and path: `api.example.com`, or `*.example.com` for all below it.',
  ],
  'a star in the middle of a path': [
    withKeys('path: /a*'),
    '6:11: services[0].path (`/a*`) is not a path pattern. `*` is a segment of its own, at the end: `/files/*`, not `/files*`.',
  ],
  'a parameter in brackets': [
    withKeys('path: /users/{id}'),
    '6:11: services[0].path (`/users/{id}`) is not a path pattern. A parameter is written `:name` here, as in `/users/:id`; brackets that are meant are written percent-encoded (`%7B`).',
  ],
  'a prefix that the path does not have': [
    withKeys('path: /v2/*', 'stripPrefix: /v1'),
    '7:18: services[0].stripPrefix (`/v1`) is not the beginning of `path`, so it would never be removed. Begin `path` with it, for example `stripPrefix: /v1` and `path: /v1/*`.',
  ],
  'a header that frames the message': [
    withKeys('requestHeaders: { Content-Length: "3" }'),
    '6:23: services[0].requestHeaders.Content-Length is a header that the gateway sets itself. Leave it out.',
  ],
  'a Host header': [
    withKeys('requestHeaders: { Host: a }'),
    '6:23: services[0].requestHeaders.Host is a header that the gateway sets itself. Use `upstreamHost`.',
  ],
  'a header with a line break': [
    withKeys('requestHeaders: { x-a: "a\\r\\nx-b: c" }'),
    '6:28: services[0].requestHeaders.x-a holds a control character or a line break. Write one line of plain text.',
  ],
  'an upstream with a password': [
    SERVICE.replace('http://', 'http://u:hunter2@'),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what the message says
    '5:15: services[0].upstream holds a user name or password. Take it out and send it with `requestHeaders: { authorization: "${UPSTREAM_AUTH}" }`.',
  ],
  'no upstream at all': [
    SERVICE.replace(/ {4}upstream.*\n/, ''),
    '3:5: services[0] has no upstream. Add `upstream: http://127.0.0.1:3000`, here or at the top of the file.',
  ],
  'an upstream that is the gateway itself': [
    `${SERVICE.replace('127.0.0.1:3000', 'localhost:8402')}`,
    '5:15: services[0].upstream (`http://localhost:8402`) is this gateway itself, so requests would go round for ever. Name the address of the API that is sold, or listen on another port.',
  ],
  'play money in public': [
    `${SERVICE}listen: :8402\n`,
    '6:9: listen[0] can be reached from elsewhere, but the node is simulated: everything would be sold for play money. Listen on `127.0.0.1`, or set `allowPlayMoney: true` if that is what you want (to earn, configure a real `node`).',
  ],
  'two listeners on one port': [
    `${SERVICE}listen: [127.0.0.1:1, 127.0.0.1:2, localhost:1]\n`,
    '6:36: listen[2] (`localhost:1`) uses port 1, which listen[0] uses too. Give one of them another port.',
  ],
  'the admin listener on the port of clients': [
    `${SERVICE}admin: 127.0.0.1:8402\n`,
    '6:8: admin (`127.0.0.1:8402`) uses port 8402, which listen[0] uses too. Give one of them another port.',
  ],
  'a node without a macaroon': [
    `${SERVICE}node: { type: lnd, url: "https://h:1" }\n`,
    '6:7: node needs one macaroon. Set either `macaroonFile` or `macaroon`.',
  ],
  'a client certificate without its key': [
    `${SERVICE}node: { type: lnd, url: "https://h:1", macaroonFile: m, clientCertFile: c }\n`,
    '6:7: node needs a client certificate and its key. Set both `clientCertFile` and `clientKeyFile`, or none.',
  ],
  'a client certificate over plain HTTP': [
    `${SERVICE}node: { type: lnd, url: "http://h:1", macaroonFile: m, clientCertFile: c, clientKeyFile: k }\n`,
    '6:72: node.clientCertFile (`c`) is never shown over plain HTTP. Write an https URL, or remove `clientCertFile` and `clientKeyFile`.',
  ],
  'gRPC without TLS': [
    `${SERVICE}node: { type: lnd, url: "https://h:1", macaroonFile: m, grpcUrl: "http://h:2" }\n`,
    '6:66: node.grpcUrl (`http://h:2`) is not an https URL. Write scheme, host and port: `https://127.0.0.1:10009`.',
  ],
  'gRPC below a path, with a password': [
    `${SERVICE}node: { type: lnd, url: "https://h:1", macaroonFile: m, grpcUrl: "https://u:p@h:2/x" }\n`,
    '6:66: node.grpcUrl holds more than scheme, host and port. Write scheme, host and port: `https://127.0.0.1:10009`.',
  ],
  'a SOCKS proxy that has names resolved here': [
    `${SERVICE}node: { type: lnd, url: "https://h:1", macaroonFile: m, socksProxy: "socks5://h:1" }\n`,
    '6:69: node.socksProxy (`socks5://h:1`) is not a SOCKS5 proxy that resolves names itself. Write scheme, host and port: `socks5h://127.0.0.1:9050`.',
  ],
  'a shared simulated node without a macaroon': [
    `${SERVICE}node: { type: simulated, url: "http://h:1" }\n`,
    '6:7: node has a url and no macaroon. Add the `macaroon` of its wallet (`sluice simnet` prints it).',
  ],
  'a proxy that is no address': [
    `${SERVICE}trustedProxies: [10.0.0.0/33]\n`,
    '6:18: trustedProxies[0] (`10.0.0.0/33`) is not an address or a CIDR block. Write for example `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`.',
  ],
  'an origin with a path': [
    `${SERVICE}cors: https://a.example.com/x\n`,
    '6:7: cors (`https://a.example.com/x`) is not an origin. Write `*`, or scheme, host and port as a browser sends them: `https://app.example.com`.',
  ],
  'a short identity secret': [
    `${SERVICE}identitySecret: abc\n`,
    '6:17: identitySecret is too short to keep. Use at least 16 characters: `openssl rand -hex 32`.',
  ],
  'an admin token that could be guessed, and is not shown': [
    `${SERVICE}adminToken: abc\n`,
    '6:13: adminToken is not 32 to 256 letters, digits, `-` or `_`. Make one: `openssl rand -hex 32`.',
  ],
};

for (const [title, [text, message]] of Object.entries(MISTAKES)) {
  test(`refused with its place and a remedy: ${title}`, () => {
    assert.equal(refusal(text.trimStart().replace(/^services/, '\nservices')), message);
  });
}

test('two services may not have one name or equal routes', () => {
  const twice = `
upstream: http://127.0.0.1:3000
services:
  - { name: a, path: "/x/:id", price: 1 sat }
  - { name: b, path: "/x/:other", price: free }
  - { name: a, path: /y, price: 1 sat }
`;
  assert.deepEqual(
    problems(twice).map(({ key, problem }) => `${key} ${problem}`),
    [
      'services[1].path (`/x/:other`) takes the same requests as a (services[0])',
      'services[2].name (`a`) is the name of services[0] too',
    ],
  );
});

test('YAML that is none, and a key that stands twice, are refused with their place', () => {
  assert.match(refusal(`${SERVICE}title: a\ntitle: b\n`), /^7:1: Map keys must be unique/);
  assert.match(problems('services: [\n')[0]?.problem ?? '', /./);
  assert.match(refusal('--- 1\n--- 2\n'), /multiple documents/);
  assert.match(refusal('a: !!js/function x\n'), /Unresolved tag/);
  assert.match(refusal(`a: ${'['.repeat(100_000)}`), /nested too deeply/);
});

test('a file that is missing, too large or no text is refused', () => {
  const named = (name: string): string => {
    try {
      loadConfig({ file: name, env: {}, cwd: DIR });
      return '';
    } catch (error) {
      return String(error);
    }
  };
  assert.match(named('none.yaml'), /none\.yaml: the file can not be read \(ENOENT\)/);
  writeFileSync(path.join(DIR, 'large.yaml'), '#'.repeat(1_000_001));
  assert.match(named('large.yaml'), /larger than 1 MB/);
  writeFileSync(path.join(DIR, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
  assert.match(named('binary.yaml'), /not UTF-8/);
  writeFileSync(path.join(DIR, 'empty.yaml'), '# nothing\n');
  assert.match(named('empty.yaml'), /services is missing/);
  writeFileSync(path.join(DIR, 'list.yaml'), '- a\n');
  assert.match(named('list.yaml'), /is a list, not a group of keys/);
});

test('no text makes anything but a configuration or a ConfigError', () => {
  const word = fc.constantFrom(
    ...[
      'services',
      'name',
      'price',
      'listen',
      'node',
      'type',
      'lnd',
      ':',
      '- ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '"',
      "'",
    ],
    ...['10 sat', '${', '}', '$', '|', '!!', '?', '#', '1', '~', 'free', '/x', ',', '<<'],
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 40 }).map((words) => words.join('')),
        fc.string({ maxLength: 80 }),
      ),
      (text) => {
        try {
          load(text);
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('flags win over the file', () => {
  mkdirSync(path.join(DIR, 'd'), { recursive: true });
  const argv = [
    '--data',
    'd',
    '--port',
    '0',
    '--host',
    '::1',
    '--admin-port',
    '0',
    '--simnet-port',
    '9',
    '--store',
    'memory',
  ];
  const { config } = load(SERVICE, { argv });
  assert.equal(config.dataDir, path.join(DIR, 'd'));
  assert.deepEqual(config.listen, [{ host: '::1', port: 0 }]);
  assert.equal(config.admin.port, 0);
  assert.deepEqual(config.store, { type: 'memory' });
  assert.ok(config.node.type === 'simulated' && config.node.port === 9 && config.node.portChosen);
});

test('what a flag made wrong is blamed on the flag', () => {
  assert.match(
    new ConfigError(problems(SERVICE, { argv: ['--host', '0.0.0.0'] })).message,
    /^--host: listen\[0\] can be reached/,
  );
  const lnd = ['--node', 'lnd://h:1?macaroon-file=m', '--simnet-port', '1'];
  assert.match(
    new ConfigError(problems(SERVICE, { argv: lnd })).message,
    /^--node: node is not a simulated node/,
  );
  assert.match(
    new ConfigError(problems(SERVICE, { argv: ['--node', 'lnd://h:1'] })).message,
    /^--node: node needs one macaroon/,
  );
});

test('without a file: one line of flags, else the demo; ./sluice.yaml is used when it is there', () => {
  const empty = mkdtempSync(path.join(DIR, 'empty-'));
  const demo = loadConfig({ env: {}, cwd: empty, demoUpstream: 'http://127.0.0.1:9999' });
  assert.equal(demo.source.kind, 'demo');
  assert.deepEqual(demo.warnings, []);
  assert.deepEqual(
    demo.config.services.map(({ name, path: pattern, price }) => `${name} ${pattern} ${price.kind}`),
    [
      'quote /quote call',
      'pack /pack/* bundle',
      'library /library/* pass',
      'free /free/* free',
      'live /live metered',
      'ws /ws metered',
      'files /files/* metered',
      'llm /llm/v1/chat/completions metered',
      'llm-models /llm/v1/models free',
    ],
  );
  assert.ok(demo.config.services.every(({ upstream }) => upstream === 'http://127.0.0.1:9999'));
  const flags = parseFlags(['--upstream', 'http://127.0.0.1:3000', '--price', '10 sat']);
  const line = loadConfig({ flags, env: {}, cwd: empty });
  assert.equal(line.source.kind, 'flags');
  assert.deepEqual(
    line.config.services.map(({ name, path: pattern }) => [name, pattern]),
    [['api', '/*']],
  );
  const mistyped = parseFlags(['--upstream', 'http://127.0.0.1:3000', '--price', '10 stas']);
  assert.throws(
    () => loadConfig({ flags: mistyped, env: {}, cwd: empty }),
    /^ConfigError: --price: .*`10 sat`/,
  );
  assert.equal(load(SERVICE).source.kind, 'file');
  assert.equal(loadConfig({ flags, env: {}, cwd: DIR }).source.kind, 'flags');
});
