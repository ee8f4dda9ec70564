import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadMasterKeys } from '../../gateway/ledger/master-key.ts';
import { temporaryFolder } from './sqlite-backend.ts';

const HEX = 'ab'.repeat(32);

function folderTest(title: string, body: (dataDir: string) => Promise<void>): void {
  test(title, async () => {
    const folder = await temporaryFolder();
    try {
      await body(join(folder.path, 'data'));
    } finally {
      await folder.remove();
    }
  });
}

async function refusal(loading: Promise<unknown>): Promise<string> {
  const error = await loading.then(
    () => assert.fail('was accepted'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  assert.ok(!error.message.includes(HEX.slice(0, 16)), 'the message holds no key');
  return error.message;
}

folderTest(
  'the first start makes a random key for its owner only, and later starts read it',
  async (dataDir) => {
    const [key, ...others] = await loadMasterKeys({ configured: [], dataDir });
    assert.equal(key?.length, 32);
    assert.equal(others.length, 0);
    const file = join(dataDir, 'master.key');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal(await readFile(file, 'utf8'), `${key?.toString('hex')}\n`);
    assert.deepEqual(await loadMasterKeys({ configured: [], dataDir }), [key]);
    assert.deepEqual(await readdir(dataDir), ['master.key']);
  },
);

folderTest('twenty first starts at once agree on one key', async (dataDir) => {
  const all = await Promise.all(
    Array.from({ length: 20 }, () => loadMasterKeys({ configured: [], dataDir })),
  );
  assert.equal(new Set(all.map(([key]) => key?.toString('hex'))).size, 1);
  assert.deepEqual(await readdir(dataDir), ['master.key']);
});

folderTest('configured keys are used in their order, and no file is made', async (dataDir) => {
  const keys = await loadMasterKeys({ configured: [HEX.toUpperCase(), '00'.repeat(32)], dataDir });
  assert.deepEqual(keys, [Buffer.alloc(32, 0xab), Buffer.alloc(32)]);
  await assert.rejects(stat(dataDir));
});

folderTest('a malformed configured key is named by its place and not shown', async (dataDir) => {
  for (const bad of ['', HEX.slice(1), `${HEX}00`, `${HEX.slice(2)}zz`, ` ${HEX}`]) {
    assert.match(await refusal(loadMasterKeys({ configured: [HEX, bad], dataDir })), /masterKeys\[1\]/);
  }
});

folderTest('a malformed key file is refused and left as it is', async (dataDir) => {
  await mkdir(dataDir);
  const file = join(dataDir, 'master.key');
  for (const bad of [
    '',
    '\n',
    HEX.slice(2),
    `${HEX}${HEX}`,
    `${HEX}\n${'x'.repeat(100_000)}`,
    'z'.repeat(64),
  ]) {
    await writeFile(file, bad, { mode: 0o600 });
    assert.match(
      await refusal(loadMasterKeys({ configured: [], dataDir })),
      /master\.key is not a master key/,
    );
    assert.equal(await readFile(file, 'utf8'), bad);
  }
});

folderTest('a key file that others may read is refused with the remedy', async (dataDir) => {
  await mkdir(dataDir);
  const file = join(dataDir, 'master.key');
  await writeFile(file, HEX, { mode: 0o600 });
  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    await chmod(file, mode);
    assert.match(await refusal(loadMasterKeys({ configured: [], dataDir })), /chmod 600/);
  }
  await chmod(file, 0o400);
  assert.deepEqual(await loadMasterKeys({ configured: [], dataDir }), [Buffer.alloc(32, 0xab)]);
});

folderTest('a data folder that can not be made is an error that names it', async (dataDir) => {
  await writeFile(dataDir, 'a file');
  assert.match(await refusal(loadMasterKeys({ configured: [], dataDir })), /data/);
});
