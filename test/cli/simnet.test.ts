import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { Command } from 'commander';
import { request } from 'undici';
import { UsageError } from '../../client/cli/exit-codes.ts';
import { registerSimnet } from '../../gateway/cli/simnet.ts';
import { eventually } from '../support/eventually.ts';
import { folder } from './operator.ts';

/** Starts `sluice simnet` in a folder; `interrupt` is Ctrl-C. */
function start(cwd: string, ...args: readonly string[]) {
  let interrupt = (): void => {};
  let output = '';
  const stdout = new PassThrough();
  stdout.on('data', (chunk) => (output += chunk));
  const program = new Command('sluice').exitOverride();
  registerSimnet(program, {
    stdin: Readable.from([]),
    stdout,
    stderr: new PassThrough(),
    env: {},
    cwd,
    setExitCode: () => {},
    exit: (code: number) => assert.fail(`the command ended the process with ${code}`),
    onInterrupt: (act: () => void) => {
      interrupt = act;
      return () => {};
    },
  });
  const ended = program.parseAsync(['simnet', '--data', 'data', '--port', '0', ...args], { from: 'user' });
  return { ended, output: () => output, interrupt: () => interrupt() };
}

test('sluice simnet prints where it is, and leaves the gateways’ macaroon in a file of its own', async (t) => {
  const cwd = folder(t);
  const simnet = start(cwd);
  await eventually(simnet.output, (text) => text !== '');
  const url = /REST at (http:\S+)/.exec(simnet.output())?.[1] ?? '';
  const file = path.join(cwd, 'data', 'gateway.macaroon');
  const macaroon = (await readFile(file, 'utf8')).trim();
  assert.ok(simnet.output().includes(macaroon) && simnet.output().includes(`\${file:${file}}`));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const { statusCode, body } = await request(`${url}/v1/getinfo`, {
    headers: { 'Grpc-Metadata-macaroon': macaroon },
  });
  await body.dump();
  assert.equal(statusCode, 200);
  simnet.interrupt();
  await simnet.ended;
});

test('play money is served to other machines only by somebody who says so', async (t) => {
  const cwd = folder(t);
  await assert.rejects(start(cwd, '--host', '0.0.0.0').ended, (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, /0\.0\.0\.0 can be reached from other machines.*--allow-play-money/);
    return true;
  });
  const simnet = start(cwd, '--host', '0.0.0.0', '--allow-play-money');
  await eventually(simnet.output, (text) => text !== '');
  assert.match(simnet.output(), /REST at http:\/\/0\.0\.0\.0:\d+/);
  simnet.interrupt();
  await simnet.ended;
});
