import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { folder, type Ran, run } from './operator.ts';

async function routes(t: TestContext, ...argv: readonly string[]): Promise<Ran> {
  const dir = folder(t);
  writeFileSync(
    path.join(dir, 'my.yaml'),
    `
services:
  - { name: pack, path: /pack/*, price: 50 sat for 100 calls, upstream: "http://10.0.0.1:9000/base", stripPrefix: /pack }
  - { name: write, path: /pack/*, methods: POST, price: 10 sat, upstream: "http://10.0.0.1:9000" }
  - { name: other, host: api.example.com, path: /pack/:x, price: 1 sat, upstream: "http://10.0.0.2" }
`,
  );
  return run(dir, ['routes', '-c', 'my.yaml', ...argv]);
}

test('a request is explained: who answers, the price, where it goes, and why no other', async (t) => {
  const { stdout, code } = await routes(t, 'get', '/x/../pack/7?q=1');
  assert.equal(code, 0);
  assert.equal(
    stdout,
    `GET /pack/7?q=1
Service    pack
Price      50 sat for 100 calls
Goes to    http://10.0.0.1:9000/base/7?q=1

→  pack   /pack/*                  50 sat for 100 calls  most specific host, then path, then method
   write  POST /pack/*             10 sat a call         does not take GET, only POST
   other  api.example.com/pack/:x  1 sat a call          is for host api.example.com only
`,
  );
});

test('HEAD is shown as priced like GET, and a URL brings its host', async (t) => {
  const { stdout } = await routes(t, 'HEAD', 'http://API.example.com:8402/pack/7');
  assert.match(stdout, /^HEAD \/pack\/7 on api\.example\.com \(priced as GET\)\nService {4}other\n/);
});

test('a URL alone is a GET, and nothing lists all', async (t) => {
  assert.match((await routes(t, '/pack')).stdout, /^GET \/pack\nService {4}pack\n/);
  assert.match((await routes(t)).stdout, /^SERVICE .*\npack .*\nwrite .*\nother .*\n$/);
});

test('a request that nobody answers has exit code 1', async (t) => {
  const { stdout, code } = await routes(t, 'GET', '/none');
  assert.equal(code, 1);
  assert.match(stdout, /No service answers: 404/);
});

test('a target that the gateway refuses, and a method that is none, are said', async (t) => {
  const encoded = await routes(t, 'GET', '/a%2Fb');
  assert.equal(encoded.code, 1);
  assert.match(encoded.stderr, /^The gateway refuses this target with 400: /);
  const method = await routes(t, 'GETT', '/pack');
  assert.equal(method.code, 1);
  assert.match(method.stderr, /^GETT is not a method/);
});

test('without a file the demo is explained, as it is what the gateway sells then', async (t) => {
  const { stdout, stderr, code } = await run(folder(t), ['routes', 'GET', '/pack/weather']);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^GET \/pack\/weather\nService {4}pack\nPrice {6}50 sat for 100 calls\nGoes to {4}http:\/\/demo\/pack\/weather\n/,
  );
  assert.match(stderr, /what the demo sells/);
});
