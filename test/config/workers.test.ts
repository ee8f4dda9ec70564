import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { parseFlags } from '../../config/flags.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';

const DIR = mkdtempSync(path.join(tmpdir(), 'sluice-config-workers-'));
after(() => rmSync(DIR, { recursive: true, force: true }));

function workersOf(keys: string, ...argv: readonly string[]): number {
  writeFileSync(
    path.join(DIR, 'sluice.yaml'),
    `${keys}\nservices: [{ name: api, price: 10 sat, upstream: "http://127.0.0.1:3000" }]\n`,
  );
  return loadConfig({ flags: parseFlags(argv), env: {}, cwd: DIR }).config.workers;
}

test('one process does everything unless workers are asked for, in the file or by the flag', () => {
  assert.equal(workersOf(''), 1);
  assert.equal(workersOf('workers: 4'), 4);
  assert.equal(workersOf('workers: auto'), availableParallelism());
  assert.equal(workersOf('workers: 4', '--workers', '2'), 2);
  for (const bad of ['0', '257', '1.5', 'many']) {
    assert.throws(() => workersOf(`workers: ${bad}`), /workers/);
  }
});

test('balances in memory are refused with several workers, with what to do', () => {
  assert.equal(workersOf('workers: 1\nstore: memory'), 1);
  assert.throws(
    () => workersOf('workers: 2\nstore: memory'),
    /workers \(`2`\) are several processes, which can not share a store in memory\. Use `store: \{ type: sqlite \}`/,
  );
});

const PLAYER = 'price: 1 sat/minute, upstream: "http://127.0.0.1:3000"';

function load(keys: string, streams: string): LoadedConfig {
  writeFileSync(
    path.join(DIR, 'sluice.yaml'),
    `${keys}\nservices: [{ name: live, path: /live, ${PLAYER} }, { name: film, path: /film, ${PLAYER}, streams: ${streams} }]\n`,
  );
  return loadConfig({ flags: parseFlags([]), env: {}, cwd: DIR });
}

test('streams that are charged once are refused with several workers, each of which would charge them', () => {
  assert.throws(
    () => load('workers: 3', '{ charge: once }'),
    /services\[1\]\.streams\.charge \(`once`\) joins the streams of one process, so an account with streams at two of the 3 workers would pay twice\. Use `workers: 1`, or `charge: each`\./,
  );
  assert.equal(load('workers: 1', '{ charge: once }').config.services[1]?.metering?.charge, 'once');
  assert.equal(load('workers: 3', '{ charge: each }').config.workers, 3);
});

test('streams that are charged once are warned of where other gateways may charge them too', () => {
  const redis = 'store: redis://127.0.0.1:6379';
  const about = (keys: string, streams: string) =>
    load(keys, streams).warnings.filter((warning) => warning.includes('charge: once'));
  assert.match(
    about(redis, '{ charge: once }').join('\n'),
    /^services: film has `charge: once`, which joins the streams of one gateway only: .* pays twice\. Let one gateway serve it$/,
  );
  assert.deepEqual(about(redis, '{ charge: each }'), []);
  assert.deepEqual(about('store: sqlite', '{ charge: once }'), []);
});
