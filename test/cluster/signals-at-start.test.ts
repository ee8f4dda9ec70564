import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { listenAnywhere } from '../proxy/wire.ts';
import { launch } from './cluster-process.ts';

test('while it starts, HUP and USR2 do not end a gateway, and TERM does', async (t) => {
  // A Redis that says nothing holds the start up.
  const silent = net.createServer((socket) => void socket.on('error', () => {}));
  const port = await listenAnywhere(silent);
  const dir = await mkdtemp(join(tmpdir(), 'sluice-signals-'));
  t.after(async () => {
    silent.close();
    await rm(dir, { recursive: true, force: true });
  });
  await writeFile(
    join(dir, 'sluice.yaml'),
    `listen: 127.0.0.1:0
admin: 127.0.0.1:0
data: data
node: { type: simulated, port: 0 }
store: redis://127.0.0.1:${port}
services: [{ name: one, path: /one, price: 10 sat, upstream: "http://127.0.0.1:1" }]
`,
  );
  const connected = once(silent, 'connection');
  const { primary, ended } = launch(dir);
  await connected;
  for (const signal of ['SIGHUP', 'SIGUSR2', 'SIGTERM'] as const) primary.kill(signal);
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, '']);
});

/** Sends TERM in the turn in which the gateway says that it runs: before it could take on anything. */
const TERM_WITH_BANNER = `
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text, ...rest) => {
    const taken = write(text, ...rest);
    if (String(text).includes('Try it in another terminal')) process.kill(process.pid, 'SIGTERM');
    return taken;
  };`;

test('TERM at the very moment at which it has started is heard', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-signals-'));
  const preload = `data:text/javascript,${encodeURIComponent(TERM_WITH_BANNER)}`;
  const main = join(import.meta.dirname, '..', '..', 'gateway', 'main.ts');
  const ports = ['--port', '0', '--admin-port', '0', '--simnet-port', '0'];
  const child = spawn(process.execPath, ['--import', preload, main, '--data', 'data', ...ports], {
    cwd: dir,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '', NODE_NO_WARNINGS: '1' },
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
