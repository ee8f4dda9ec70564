import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/eventually.ts';
import { missing, ROOT } from './programs.ts';

/** Stands where systemd does: a datagram socket, whose messages it prints a line each. */
const LISTENER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    data, fds, flags, addr = socket.recv_fds(s, 4096, 8)
    print(data.decode().replace('\\n', ' '), flush=True)
    for fd in fds: os.close(fd)
`;

test('a gateway that a unit started says READY when it listens, and STOPPING when it is told to end', {
  skip: missing('systemd-notify', 'python3'),
}, async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-unit-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const socket = path.join(dir, 'notify');
  const systemd = spawn('python3', ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => systemd.kill('SIGKILL'));
  void endWithUs(systemd);
  let heard = '';
  systemd.stdout.on('data', (chunk) => (heard += chunk));
  await eventually(
    () => heard,
    (text) => text.includes('bound'),
  );
  const gateway = spawn(
    process.execPath,
    [
      path.join(ROOT, 'gateway', 'main.ts'),
      '--data',
      path.join(dir, 'data'),
      '--port',
      '0',
      '--admin-port',
      '0',
      '--simnet-port',
      '0',
    ],
    { cwd: dir, stdio: 'ignore', env: { ...process.env, NOTIFY_SOCKET: socket, NODE_NO_WARNINGS: '1' } },
  );
  const ended = endWithUs(gateway);
  await eventually(
    () => heard,
    (text) => text.includes('READY=1'),
  );
  gateway.kill('SIGTERM');
  await ended;
  assert.match(heard, /READY=1[\s\S]*STOPPING=1/);
  assert.equal(gateway.exitCode, 0);
});
