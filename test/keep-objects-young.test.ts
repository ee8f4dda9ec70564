import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import test from 'node:test';
import { promisify } from 'node:util';

const FILE = new URL('../gateway/keep-objects-young.ts', import.meta.url).href;

/** Makes arrays that all live on, in a heap so small that V8 counts many of them at each collection, and prints what V8 decides. */
const PROGRAM = `
  const { keepObjectsYoung } = await import(process.argv[1]);
  if (process.argv[2] === 'keep') keepObjectsYoung();
  const kept = [];
  const make = (n) => [n, n + 1, n + 2];
  for (let n = 0; n < 400_000; n += 1) kept.push(make(n));
`;

async function decisions(keep: 'keep' | 'leave'): Promise<{ tenured: number; complaints: string }> {
  const args = ['--input-type=module', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=1'];
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [...args, '--trace-pretenuring-statistics', '--eval', PROGRAM, FILE, keep],
    { maxBuffer: 16 * 1024 * 1024, timeout: 60_000 },
  );
  return { tenured: stdout.match(/=> (maybe )?tenure/g)?.length ?? 0, complaints: stderr };
}

test('V8 knows the flag, and decides for no place in the code that what it makes lives long', async () => {
  const left = await decisions('leave');
  assert.ok(left.tenured > 0, 'without the flag V8 does so: otherwise this test would show nothing');
  assert.deepEqual(await decisions('keep'), { tenured: 0, complaints: '' });
});
