import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { waitFor } from '../../deploy/regtest/wait-for.ts';

/*
 * `npm run regtest`, as a person types it.
 */

const MAIN = path.join(import.meta.dirname, '..', '..', 'deploy', 'regtest', 'main.ts');

interface Command {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  text(): string;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number | null>;
}

interface Desk {
  type(...args: readonly string[]): Command;
  /** Types it and waits until it ends well. @returns what it printed */
  done(...args: readonly string[]): Promise<string>;
}

/** A folder for a network whose name has a space, as folders have. */
async function openDesk(t: TestContext): Promise<Desk> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice regtest '));
  const type = (...args: readonly string[]): Command => {
    const [command = '', ...rest] = args;
    const argv = ['--disable-warning=ExperimentalWarning', MAIN, command, '--dir', dir, ...rest];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    return { child, text: () => text, ended: once(child, 'close').then(([code]) => code) };
  };
  const done = async (...args: readonly string[]): Promise<string> => {
    const command = type(...args);
    assert.equal(await command.ended, 0, command.text());
    return command.text();
  };
  t.after(async () => {
    await done('reset');
    await rm(dir, { recursive: true, force: true });
  });
  return { type, done };
}

const statusSchema = z.object({
  gateway: z.url(),
  blockHeight: z.int(),
  channel: z.object({ merchantSat: z.int(), customerSat: z.int() }),
});

/** Waits for what a command prints; when it ends without, that is told. */
async function until(command: Command, pattern: RegExp): Promise<void> {
  let ended = false;
  void command.ended.then(() => {
    ended = true;
  });
  const seen = async () => (ended || pattern.test(command.text()) ? true : undefined);
  await waitFor(`${pattern} in what it prints`, seen, { limitMs: 240_000 });
  assert.match(command.text(), pattern);
}

test('a network is started, asked, mined on, stopped from another terminal, and goes on where it ended', async (t) => {
  const { type, done } = await openDesk(t);
  assert.match(await done('status'), /No network runs/);
  const first = type('start');
  await until(first, /Opening a channel/);
  await until(first, /the feed of settlements stands/);
  const before = statusSchema.parse(JSON.parse(await done('status')));
  assert.equal((await fetch(`${before.gateway}/quote`)).status, 402);
  assert.deepEqual(JSON.parse(await done('mine', '3')), { blockHeight: before.blockHeight + 3 });
  for (const refused of [type('start'), type('reset')]) {
    assert.equal(await refused.ended, 1);
    assert.match(refused.text(), /runs/);
  }
  assert.match(await done('stop'), /^Stopped/);
  assert.equal(await first.ended, 0);
  await assert.rejects(fetch(before.gateway));

  const again = type('start', '--no-gateway');
  await until(again, /is up/);
  const after = z.object({ gateway: z.literal('none'), blockHeight: z.int() });
  // One block is mined at each start.
  assert.equal(after.parse(JSON.parse(await done('status'))).blockHeight, before.blockHeight + 4);
  again.child.kill('SIGINT');
  assert.equal(await again.ended, 0);
  assert.match(again.text(), /Stopped\. The network stays in/);
});

test('Ctrl-C ends a start that is not finished, and the next start finishes it', async (t) => {
  const { type, done } = await openDesk(t);
  const first = type('start');
  await until(first, /Mining 500 blocks/);
  first.child.kill('SIGINT');
  assert.equal(await first.ended, 0);
  assert.match(first.text(), /Stopping …\nStopped\./);
  assert.doesNotMatch(first.text(), /is up/);
  const second = type('start');
  await until(second, /the feed of settlements stands/);
  await done('stop');
  assert.equal(await second.ended, 0);
});

test('what a killed run has left behind is ended before its folder is deleted', async (t) => {
  const { type, done } = await openDesk(t);
  const killed = type('start');
  await until(killed, /the feed of settlements stands/);
  const { gateway, merchant } = z
    .object({ gateway: z.url(), merchant: z.object({ url: z.url() }) })
    .parse(JSON.parse(await done('status')));
  const [gatewayPort, merchantPort] = [gateway, merchant.url].map((url) => Number(new URL(url).port));
  // Its output does not end with it: the gateway that it leaves has the same.
  const gone = once(killed.child, 'exit');
  killed.child.kill('SIGKILL');
  await gone;
  assert.equal((await fetch(`${gateway}/quote`)).status, 402);
  assert.match(await done('status'), /No network runs/);
  assert.match(await done('reset'), /Deleted/);
  for (const port of [gatewayPort, merchantPort]) await isFree(port ?? 0);
});

/** Nobody listens there any more. */
async function isFree(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
}
