import assert from 'node:assert/strict';
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
