import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { adminTokenOf, isSameToken, loadAdminToken } from '../../gateway/admin/token.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-admin-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('the first start makes a token that only its owner can read, and later starts read it', async (t) => {
  const dataDir = join(await folder(t), 'data');
  const first = await loadAdminToken(dataDir);
  assert.equal(first.created, true);
  assert.match(first.token, /^[A-Za-z0-9_-]{43}$/);
  assert.equal((await stat(first.file)).mode & 0o777, 0o600);
  assert.deepEqual(await loadAdminToken(dataDir), { ...first, created: false });
  assert.deepEqual(await readdir(dataDir), ['admin.token']);
});

test('a configured token is used as it is, and no file is made', async (t) => {
  const dataDir = await folder(t);
  const adminToken = 'configured-for-both-gateways-000000';
  assert.equal(await adminTokenOf({ dataDir, adminToken }), adminToken);
  assert.deepEqual(await readdir(dataDir), []);
  assert.equal(await adminTokenOf({ dataDir }), (await loadAdminToken(dataDir)).token);
});

test('gateways that start at once on one folder agree on one token', async (t) => {
  const dataDir = await folder(t);
  const tokens = await Promise.all(Array.from({ length: 8 }, () => loadAdminToken(dataDir)));
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 1);
  assert.equal(tokens.filter(({ created }) => created).length, 1);
});

test('a token that others can read is refused with the remedy', async (t) => {
  const dataDir = await folder(t);
  const { file, token } = await loadAdminToken(dataDir);
  await chmod(file, 0o644);
  await assert.rejects(loadAdminToken(dataDir), (error: Error) => {
    assert.match(error.message, /chmod 600/);
    assert.ok(!error.message.includes(token));
    return true;
  });
});

test('a file that holds something else is refused, not used', async (t) => {
  const dataDir = await folder(t);
  for (const text of ['', 'short', 'x'.repeat(1000), 'two words of a sufficient total length here']) {
    await writeFile(join(dataDir, 'admin.token'), text, { mode: 0o600 });
    await assert.rejects(loadAdminToken(dataDir), /does not hold an admin token/);
  }
});

test('tokens compare equal only when they are', () => {
  assert.equal(isSameToken('abc', 'abc'), true);
  for (const other of ['', 'ab', 'abd', 'abcd', 'ABC']) assert.equal(isSameToken(other, 'abc'), false);
});
