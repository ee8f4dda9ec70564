import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { parseFlags } from '../../config/flags.ts';
import { loadConfig } from '../../config/load.ts';

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
