import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, run } from './operator.ts';

const GOOD = `
upstream: http://127.0.0.1:3000
services:
  - { name: quote, path: /quote, methods: [GET], price: 10 sat }
  - { name: library, host: "*.example.com", path: /library/*, price: 200 sat for 10m }
  - { name: gift, path: /free/*, price: free, ignoreCase: true }
`;

test('a good file is OK, with a table of what it sells', async (t) => {
  const dir = folder(t);
  writeFileSync(path.join(dir, 'sluice.yaml'), GOOD);
  const { stdout, stderr, code } = await run(dir, ['check-config']);
  assert.deepEqual([stderr, code], ['', 0]);
  assert.equal(
    stdout,
    `OK

SERVICE  REQUESTS                 PRICE                   UPSTREAM
quote    GET /quote               10 sat a call           http://127.0.0.1:3000
library  *.example.com/library/*  200 sat for 10 minutes  http://127.0.0.1:3000
gift     /free/* (any case)       free                    http://127.0.0.1:3000
`,
  );
});

test('metered prices show their deposit and what it buys', async (t) => {
  const dir = folder(t);
  const live = '  - { name: live, path: /live, price: 100 msat/second, deposit: 5m }\n';
  const rates = '{ "x*": { input: 1 sat/1k tokens, output: 2 sat/1k tokens } }';
  const llm = `  - { name: llm, path: /llm, price: 3 sat/1k tokens, usage: { preset: openai, models: ${rates} } }\n`;
  writeFileSync(path.join(dir, 'sluice.yaml'), `${GOOD}${live}${llm}`);
  const { stdout, stderr } = await run(dir, ['check-config']);
  assert.equal(stderr, '');
  assert.match(stdout, /^SERVICE +REQUESTS +PRICE +DEPOSIT +UPSTREAM$/m);
  assert.match(stdout, /^live +\/live +100 msat per second +30 sat buys 5 minutes +http:/m);
  assert.match(stdout, /^llm .* 100 sat buys what its model costs +http:/m);
  assert.match(stdout, /^gift +\S+ \(any case\) +free {2,}http:/m);
  assert.match((await run(dir, ['routes', 'GET', '/live'])).stdout, /^Deposit {4}30 sat buys 5 minutes$/m);
  assert.doesNotMatch((await run(dir, ['routes', 'GET', '/quote'])).stdout, /Deposit/);
});

test('a bad file is answered with every problem and exit code 1', async (t) => {
  const dir = folder(t);
  writeFileSync(path.join(dir, 'other.yaml'), GOOD.replace('10 sat', '10').replace('upstream', 'upstraem'));
  const { stdout, stderr, code } = await run(dir, ['check-config', 'other.yaml']);
  assert.deepEqual([stdout, code], ['', 1]);
  assert.match(stderr, /other\.yaml:2:1: upstraem is not a known key\. Did you mean `upstream`\?\n/);
  assert.match(stderr, /other\.yaml:4:\d+: services\[0\]\.price \(`10`\) is not a price/);
  assert.match(stderr, /\n\n2 problems\.\n$/);
});

test('warnings go to stderr and do not fail', async (t) => {
  const dir = folder(t);
  writeFileSync(
    path.join(dir, 'sluice.yaml'),
    `${GOOD}node: { type: lnd, url: "https://h:1", macaroonFile: none }\nstore: memory\n`,
  );
  const { stderr, code } = await run(dir, ['check-config']);
  assert.equal(code, 0);
  assert.match(stderr, /^warning: store: balances are in memory only/);
  assert.match(stderr, /none can not be read here\n$/);
});

test('without a file it says how to get one', async (t) => {
  const { stderr, code } = await run(folder(t), ['check-config']);
  assert.equal(code, 1);
  assert.match(stderr, /sluice init/);
});
