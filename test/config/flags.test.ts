import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlagsError, parseFlags } from '../../config/flags.ts';

test('every flag is read', () => {
  assert.deepEqual(
    parseFlags([
      ...[
        '-c',
        'f.yaml',
        '--data',
        'd',
        '--port',
        '1',
        '--admin-port',
        '2',
        '--simnet-port',
        '3',
        '--host',
        '[::1]',
      ],
      ...['--node', 'lnd://h:8080?macaroon-file=m&tls-cert-file=t', '--store', 'sqlite:x.db'],
    ]),
    {
      config: 'f.yaml',
      data: 'd',
      port: 1,
      adminPort: 2,
      simnetPort: 3,
      host: '::1',
      node: { type: 'lnd', url: 'https://h:8080', macaroonFile: 'm', tlsCertFile: 't' },
      store: { type: 'sqlite', file: 'x.db' },
    },
  );
  assert.deepEqual(parseFlags([]), {});
  assert.deepEqual(parseFlags(['--upstream', 'http://h', '--price', '1 sat']), {
    upstream: 'http://h',
    price: '1 sat',
  });
});

/** Node URIs and what they mean. */
const NODES: readonly (readonly [string, object | string])[] = [
  ['simulated', { type: 'simulated' }],
  [
    'simulated://127.0.0.1:8404?macaroon=00ff',
    { type: 'simulated', url: 'http://127.0.0.1:8404', macaroon: '00ff' },
  ],
  ['lnd://[::1]:8080/?macaroon=00ff', { type: 'lnd', url: 'https://[::1]:8080', macaroon: '00ff' }],
  ['lndconnect://h:1?macaroon=AgED', 'lndconnect://h:1?macaroon=AgED'],
  ['lnd://h:1?plain=true', { type: 'lnd', url: 'http://h:1' }],
  ['lnd://h:1?grpc=[::1]:10009', { type: 'lnd', url: 'https://h:1', grpcUrl: 'https://[::1]:10009' }],
];

for (const [uri, node] of NODES) {
  test(`--node ${uri}`, () => {
    assert.deepEqual(parseFlags(['--node', uri]).node, node);
  });
}

for (const argv of [
  ['--prot', '1'],
  ['--port', '65536'],
  ['--port', 'x'],
  ['--port'],
  ['--host', 'a b'],
  ['--store', 'redis'],
  ['--store', 'sqlite:'],
  ['--node', 'cln://h'],
  ['--node', 'lnd://u@h'],
  ['--node', 'lndconnect://h:1?macaroon=c0ffee!'],
  ['--node', 'lnd://h?rune=00'],
  ['--upstream', 'http://h'],
  ['--price', '1 sat'],
  ['--config', 'f', '--upstream', 'http://h', '--price', '1 sat'],
  ['stray'],
]) {
  test(`refused: ${argv.join(' ')}`, () => {
    assert.throws(
      () => parseFlags(argv),
      (error) => error instanceof FlagsError && error.exitCode === 1 && error.message.length > 10,
    );
  });
}

test('a mistyped flag is answered with the nearest', () => {
  assert.throws(() => parseFlags(['--prot', '1']), /Did you mean.*--port/s);
});

test('help is the message, with exit code 0', () => {
  assert.throws(
    () => parseFlags(['--help']),
    (error) => error instanceof FlagsError && error.exitCode === 0 && error.message.includes('--upstream'),
  );
});

test('a refused --node does not repeat its macaroon', () => {
  for (const uri of ['lnd://h?macaroon=c0ffee&x=1', 'cln://h?macaroon=c0ffee']) {
    assert.throws(
      () => parseFlags(['--node', uri]),
      (error) => error instanceof FlagsError && !error.message.includes('c0ffee'),
    );
  }
});

test('workers are a number or auto', () => {
  assert.deepEqual(parseFlags(['--workers', '4']), { workers: 4 });
  assert.deepEqual(parseFlags(['--workers', 'auto']), { workers: 'auto' });
  for (const bad of ['0', '-1', '2.5', 'all']) {
    assert.throws(() => parseFlags(['--workers', bad]), /Workers are a number, or auto/);
  }
});
