import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../config/load.ts';
import { folder, run } from './operator.ts';

/** The one service of the file that was written. */
function written(dir: string, name = 'sluice.yaml') {
  const { config, warnings } = loadConfig({ file: name, env: {}, cwd: dir });
  assert.deepEqual(warnings, []);
  return config.services[0] ?? assert.fail('no service');
}

test('three answers make a commented file that loads, and the next command is printed', async (t) => {
  const dir = folder(t);
  const { stdout, stderr, code } = await run(
    dir,
    ['init'],
    'http://127.0.0.1:5000\n500 sat for 100 calls\n/v1/models/*\n',
  );
  assert.deepEqual([stderr, code], ['', 0]);
  assert.match(stdout, /Start it: {2}npx sluice start\n/);
  assert.match(stdout, /npx sluice fetch http:\/\/127\.0\.0\.1:8402\/v1\/models\//);
  const service = written(dir);
  assert.deepEqual(
    [service.name, service.path, service.upstream],
    ['models', '/v1/models/*', 'http://127.0.0.1:5000'],
  );
  assert.equal(service.price.kind, 'bundle');
  const text = readFileSync(path.join(dir, 'sluice.yaml'), 'utf8');
  assert.match(text, /^# yaml-language-server: \$schema=\S+sluice\.schema\.json\n/);
  assert.ok((text.match(/^ *#/gm) ?? []).length >= 5);
});

test('for a file elsewhere the commands name it and its data folder, and a price by the second is followed', async (t) => {
  const dir = folder(t);
  const argv = ['init', '-y', '--file', 'shop/live.yaml', '--path', '/live', '--price', '100 msat/second'];
  const { stdout, code } = await run(dir, argv);
  assert.equal(code, 0);
  assert.match(stdout, /Start it: {2}npx sluice start --config shop\/live\.yaml\n/);
  assert.match(stdout, /npx sluice stream http:\/\/127\.0\.0\.1:8402\/live --data shop\/\.sluice\n/);
});

test('an empty answer takes what is usual', async (t) => {
  const dir = folder(t);
  await run(dir, ['init'], '\n\n\n');
  const service = written(dir);
  assert.deepEqual([service.name, service.path, service.upstream], ['api', '/*', 'http://127.0.0.1:3000']);
  assert.deepEqual(service.price, { kind: 'call', amountMsat: 10_000 });
});

test('a wrong answer is explained and asked again', async (t) => {
  const dir = folder(t);
  const typed = 'ftp://h\nhttp://127.0.0.1:3000\n10\n0.2 usd\n10 sat\nquote\n/quote\n';
  const { stdout, code } = await run(dir, ['init'], typed);
  assert.equal(code, 0);
  assert.match(stdout, /is not an http or https URL/);
  assert.match(stdout, /the number has no unit\. Write for example `10 sat`/);
  assert.match(stdout, /no exchange rates yet/);
  assert.match(stdout, /a path begins with/);
  assert.equal(written(dir).name, 'quote');
});

test('answers that never fit, or that end, write nothing', async (t) => {
  const dir = folder(t);
  assert.equal((await run(dir, ['init'], 'x\n'.repeat(9))).code, 1);
  const { stderr, code } = await run(dir, ['init'], 'http://127.0.0.1:3000\n');
  assert.equal(code, 1);
  assert.match(stderr, /ended before --price was known/);
  assert.ok(!existsSync(path.join(dir, 'sluice.yaml')));
});

test('--yes and flags ask nothing', async (t) => {
  const dir = folder(t);
  const argv = [
    'init',
    '--yes',
    '--price',
    '1000 sat for 24h',
    '--path',
    '/users/:id',
    '--name',
    'people',
    '--file',
    'sub/my.yaml',
  ];
  const { stdout, code } = await run(dir, argv);
  assert.equal(code, 0);
  assert.match(stdout, /npx sluice start --config sub\/my\.yaml\n/);
  const service = written(dir, 'sub/my.yaml');
  assert.deepEqual([service.name, service.path, service.price.kind], ['people', '/users/:id', 'pass']);
});

test('flags that can not be are all refused, and nothing is written', async (t) => {
  const dir = folder(t);
  const { stderr, code } = await run(dir, [
    'init',
    '--yes',
    '--price',
    'gratis',
    '--path',
    'x',
    '--upstream',
    'h',
  ]);
  assert.equal(code, 1);
  assert.deepEqual(stderr.match(/^--\w+/gm), ['--upstream', '--price', '--path']);
  assert.equal((await run(dir, ['init', '--yes', '--name', 'A_b'])).code, 1);
  assert.ok(!existsSync(path.join(dir, 'sluice.yaml')));
});

test('a file that is there is overwritten only with --force', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'sluice.yaml');
  writeFileSync(file, 'mine');
  const { stderr, code } = await run(dir, ['init', '--yes']);
  assert.deepEqual([code, readFileSync(file, 'utf8')], [1, 'mine']);
  assert.match(stderr, /sluice\.yaml exists\. Add --force/);
  assert.equal((await run(dir, ['init', '--yes', '--force'])).code, 0);
  assert.equal(written(dir).name, 'api');
});

test('what looks like YAML or a reference in an answer stays text', async (t) => {
  const dir = folder(t);
  const upstream = 'http://127.0.0.1:3000/$' + '{HOME}';
  const { code } = await run(dir, ['init', '--yes', '--path', "/a:'b'&c,!d", '--upstream', upstream]);
  assert.equal(code, 0);
  assert.equal(written(dir).path, "/a:'b'&c,!d");
  assert.equal(new URL(written(dir).upstream).href, new URL(upstream).href);
});

/** Metered prices, the deposit in msat, and what is said about it. */
const METERED: readonly (readonly [string, number, RegExp])[] = [
  ['100 msat/second', 100_000, /100 sat at a time, which buys 16 minutes 40 seconds\.\n/],
  ['10 msat/KB', 100_000, /which buys 10 MB\.\n/],
  ['500 sat/event', 500_000, /500 sat at a time, which buys 1 event\.\n/],
  ['3 sat/1k tokens', 100_000, /buys 33333 tokens\.\nCheck `usage`/],
  ['200 sat/image', 200_000, /buys 1 image\.\nCheck `usage`/],
];

for (const [price, depositMsat, said] of METERED) {
  test(`${price} is written with its deposit, and loads`, async (t) => {
    const dir = folder(t);
    const { stdout, code } = await run(dir, ['init', '--yes', '--price', price]);
    assert.equal(code, 0);
    assert.match(stdout, said);
    assert.equal(written(dir).metering?.depositMsat, depositMsat);
  });
}
