import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { notifySystemd } from '../gateway/notify-systemd.ts';

/** A folder with a `systemd-notify` that writes down how it was called; systemd's own is asked in test/deploy. */
async function recorder(t: TestContext, exitCode = 0) {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-notify-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const program = join(dir, 'systemd-notify');
  await writeFile(program, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> "${dir}/calls"\nexit ${exitCode}\n`);
  await chmod(program, 0o700);
  return {
    env: { PATH: `${dir}${delimiter}${process.env['PATH'] ?? ''}` },
    calls: () => readFile(join(dir, 'calls'), 'utf8').catch(() => ''),
  };
}

test('systemd is told over its socket, in the words of sd_notify', async (t) => {
  const { env, calls } = await recorder(t);
  assert.equal(await notifySystemd('READY=1', { ...env, NOTIFY_SOCKET: '/run/notify' }), undefined);
  assert.equal(await notifySystemd('STOPPING=1', { ...env, NOTIFY_SOCKET: '/run/notify' }), undefined);
  assert.equal(await calls(), '/run/notify READY=1\n/run/notify STOPPING=1\n');
});

test('a process that no unit of that type started tells nobody', async (t) => {
  const { env, calls } = await recorder(t);
  assert.equal(await notifySystemd('READY=1', env), undefined);
  assert.equal(await calls(), '');
});

test('what could not be told is an error to log, not one that ends the gateway', async (t) => {
  const { env } = await recorder(t, 1);
  const failed = await notifySystemd('READY=1', { ...env, NOTIFY_SOCKET: '/run/notify' });
  assert.match(failed?.message ?? '', /systemd could not be told READY=1/);
  const missing = await notifySystemd('READY=1', { PATH: '/nonexistent', NOTIFY_SOCKET: '/run/notify' });
  assert.match(missing?.message ?? '', /ENOENT/);
});
