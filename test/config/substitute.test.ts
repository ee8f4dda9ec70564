import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../config/load.ts';
import { type Substituted, substitute } from '../../config/substitute.ts';

const DIR = mkdtempSync(path.join(tmpdir(), 'sluice-substitute-'));
after(() => rmSync(DIR, { recursive: true, force: true }));

/** `${inner}`, which a linter would take for a mistake in plain quotes. */
function ref(inner: string): string {
  return `\${${inner}}`;
}

function replace(value: unknown, env: Readonly<Record<string, string>> = {}): Substituted {
  return substitute(value, { env, baseDir: DIR });
}

test('variables, defaults, files and an escape are replaced inside text, at any depth', () => {
  writeFileSync(path.join(DIR, 'key'), 's3cret\n');
  const { value, findings, files } = replace(
    {
      a: [`Bearer ${ref('KEY')}!`, ref('GONE:-fallback'), ref('EMPTY:-'), ref('file:key')],
      b: `$${ref('KEY')}`,
      c: 7,
      d: null,
    },
    { KEY: 'k', EMPTY: '' },
  );
  assert.deepEqual(value, { a: ['Bearer k!', 'fallback', '', 's3cret'], b: ref('KEY'), c: 7, d: null });
  assert.deepEqual(findings, []);
  assert.deepEqual(files, [path.join(DIR, 'key')]);
});

test('what a variable holds is text only: no keys, no lists, no further references', () => {
  const { value } = replace(
    { a: ref('EVIL') },
    { EVIL: `x\nadmin: 0.0.0.0:1\nb: ${ref('OTHER')}`, OTHER: 'o' },
  );
  assert.deepEqual(value, { a: `x\nadmin: 0.0.0.0:1\nb: ${ref('OTHER')}` });
});

test('what is missing, unreadable or of an unknown form is named with a remedy', () => {
  writeFileSync(path.join(DIR, 'large'), 'x'.repeat(64 * 1024 + 1));
  const { findings } = replace({
    a: ref('GONE'),
    b: ref('file:none'),
    c: ref('file:large'),
    d: ref('file:.'),
    e: ref('1x'),
    f: '${open',
  });
  assert.deepEqual(
    findings.map(({ path: at, problem }) => `${at.join('.')}: ${problem.replaceAll(DIR, '')}`),
    [
      'a: needs the environment variable GONE, which is not set',
      'b: reads /none, which can not be read (ENOENT)',
      'c: reads /large, which is larger than 64 KB',
      'd: reads , which is not a file',
      'e: holds a reference of an unknown form',
      'f: opens a reference and does not close it',
    ],
  );
});

test('numbers and switches may come from variables', () => {
  const file = path.join(DIR, 'numbers.yaml');
  writeFileSync(
    file,
    `listen: 127.0.0.1:${ref('PORT')}\nallowPlayMoney: ${ref('PLAY')}\nlimits: { maxHeaders: "${ref('MAX')}" }\n` +
      'services: [{ name: a, price: 1 sat, upstream: "http://h:1" }]\n',
  );
  const { config } = loadConfig({ file, env: { PORT: '9000', PLAY: 'true', MAX: '64' }, cwd: DIR });
  assert.equal(config.listen[0]?.port, 9_000);
  assert.equal(config.allowPlayMoney, true);
  assert.equal(config.limits.maxHeaderCount, 64);
});

test('no message shows what a variable, a secret key or a URL with a password holds', () => {
  const file = path.join(DIR, 'secrets.yaml');
  writeFileSync(
    file,
    `masterKeys: [hunter2-literal, "${ref('S')}"]
identitySecret: "${ref('S')}\\n"
node: { type: lnd, url: "https://u:hunter2@h", macaroon: hunter2-macaroon }
title: "${ref('S')}\\n"
store: { type: "${ref('S')}" }
drainTimeout: ${ref('S')}
cors: "${ref('S')}"
upstream: http://u:hunter2@h
services:
  - name: ${ref('S')}
    path: ${ref('S')}
    host: "${ref('S')}"
    methods: ["${ref('S')}"]
    price: ${ref('P')}
    upstream: "${ref('S')}"
    requestHeaders: { authorization: "hunter2-header\\n" }
    chargeOn: ["${ref('S')}"]
`,
  );
  assert.throws(
    () => loadConfig({ file, env: { S: 'Hunter2?#@/', P: '4711 hunter2' }, cwd: DIR }),
    (error) => {
      assert.ok(error instanceof Error);
      assert.doesNotMatch(error.message, /hunter2|4711/i);
      assert.ok(error.message.split('\n').length >= 12, error.message);
      return true;
    },
  );
});

test('the secret files are among those to watch', () => {
  writeFileSync(path.join(DIR, 'secret'), 'x'.repeat(32));
  const file = path.join(DIR, 'watched.yaml');
  writeFileSync(
    file,
    `identitySecret: ${ref('file:./secret')}\nservices: [{ name: a, price: 1 sat, upstream: "http://h:1" }]\n`,
  );
  assert.deepEqual(loadConfig({ file, env: {}, cwd: '/' }).files, [file, path.join(DIR, 'secret')]);
});
