import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { createMemoryTokenStore, sats, type TokenRecord } from '../../client/index.ts';
import { createFileTokenStore, TokenFileError } from '../../client/node.ts';

const ORIGIN = 'http://127.0.0.1:8402';
const NOW_MS = 1_800_000_000_000;
const PREIMAGE = '11'.repeat(32);

let root: string;
let file: string;
let count = 0;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-tokens-'));
});
after(() => rm(root, { recursive: true }));
beforeEach(() => {
  count += 1;
  file = join(root, String(count), 'tokens.json');
});

function record(at: number, changes: Partial<TokenRecord> = {}): TokenRecord {
  return {
    paymentHash: at.toString(16).padStart(64, '0'),
    origin: ORIGIN,
    service: 'quote',
    scopes: ['/quote'],
    scheme: 'L402',
    macaroon: 'AgEE',
    invoice: 'lnbcrt1x',
    amountMsat: sats(10),
    invoiceExpiresAtSec: NOW_MS / 1000 + 600,
    createdAtMs: NOW_MS,
    state: { kind: 'ready', preimage: PREIMAGE },
    ...changes,
  };
}

const stores = {
  memory: () => createMemoryTokenStore({ nowMs: () => NOW_MS }),
  file: () => createFileTokenStore({ file, nowMs: () => NOW_MS }),
};

for (const [name, open] of Object.entries(stores)) {
  describe(`the ${name} store`, () => {
    it('keeps records by origin and replaces them by payment hash', async () => {
      const store = open();
      await store.put(record(1, { state: { kind: 'pending' } }));
      await store.put(record(1, { acceptedAtMs: 5, validUntilSec: NOW_MS / 1000 + 1 }));
      await store.put(record(2, { origin: 'https://elsewhere' }));
      assert.deepEqual(await store.list(ORIGIN), [
        record(1, { acceptedAtMs: 5, validUntilSec: NOW_MS / 1000 + 1 }),
      ]);
    });

    it('never drops a preimage that it knows', async () => {
      const store = open();
      await store.put(record(1));
      await store.put(record(1, { state: { kind: 'pending' } }));
      assert.deepEqual((await store.list(ORIGIN))[0]?.state, { kind: 'ready', preimage: PREIMAGE });
    });

    it('changes and removes one record', async () => {
      const store = open();
      await store.put(record(1));
      await store.put(record(2));
      await store.update(record(1).paymentHash, () => undefined);
      await store.update(record(2).paymentHash, (other) => ({ ...other, service: 'other' }));
      await store.update(record(3).paymentHash, () => assert.fail('there is none'));
      assert.deepEqual(await store.list(ORIGIN), [record(2, { service: 'other' })]);
    });

    it('drops what is of no more use, and nothing else', async () => {
      const store = open();
      const spent = { kind: 'spent', preimage: PREIMAGE } as const;
      const hourAgo = NOW_MS - 3_600_000;
      await store.put(record(1, { validUntilSec: hourAgo / 1000 }));
      await store.put(record(2, { acceptedAtMs: 1, state: { ...spent, spentAtMs: hourAgo } }));
      await store.put(record(3, { acceptedAtMs: 1, state: { ...spent, spentAtMs: NOW_MS - 1 } }));
      await store.put(record(4, { state: { ...spent, spentAtMs: hourAgo } }));
      await store.put(record(5, { state: { kind: 'pending' }, validUntilSec: 1, invoiceExpiresAtSec: 1 }));
      const kept = (await store.list(ORIGIN)).map(({ paymentHash }) => Number.parseInt(paymentHash, 16));
      assert.deepEqual(kept, [3, 4, 5]);
    });
  });
}

describe('the file', () => {
  it('is readable by its owner only, and so is its lock', async () => {
    await stores.file().put(record(1));
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(`${file}.lock`)).mode & 0o777, 0o600);
    assert.equal((await stat(join(file, '..'))).mode & 0o777, 0o700);
    assert.deepEqual((await readdir(join(file, '..'))).sort(), ['tokens.json', 'tokens.json.lock']);
  });

  it('becomes private again when somebody opened it up', async () => {
    await stores.file().put(record(1));
    await chmod(file, 0o644);
    await stores.file().put(record(2));
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('is read by the next process', async () => {
    await createFileTokenStore({ file }).put(record(1));
    assert.deepEqual(await createFileTokenStore({ file }).list(ORIGIN), [record(1)]);
  });

  it('that is damaged is set aside whole, said so, and begun anew', async () => {
    const store = createFileTokenStore({ file });
    await store.put(record(1));
    const damaged = (await readFile(file, 'utf8')).slice(0, -20);
    await writeFile(file, damaged);
    await assert.rejects(store.put(record(2)), (error) => {
      assert.ok(error instanceof TokenFileError);
      assert.match(error.message, /is damaged. It was kept as .*tokens\.json\.damaged-/);
      assert.ok(!error.message.includes(PREIMAGE));
      return true;
    });
    const kept = (await readdir(join(file, '..'))).find((name) => name.includes('damaged'));
    assert.equal(await readFile(join(file, '..', kept ?? ''), 'utf8'), damaged);
    await store.put(record(3));
    assert.deepEqual(await store.list(ORIGIN), [record(3)]);
  });

  it('that can not be written is an error that says what to check', async () => {
    await writeFile(join(root, 'in-the-way'), '');
    const store = createFileTokenStore({ file: join(root, 'in-the-way', 'tokens.json') });
    await assert.rejects(store.put(record(1)), TokenFileError);
  });

  it('loses nothing when several stores of a process write at once', async () => {
    const writes = Array.from({ length: 24 }, (_, at) => createFileTokenStore({ file }).put(record(at + 1)));
    await Promise.all(writes);
    assert.equal((await createFileTokenStore({ file }).list(ORIGIN)).length, 24);
  });

  it('loses nothing when several processes write at once', async () => {
    const script = `
      const { createFileTokenStore } = await import(${JSON.stringify(new URL('../../client/node.ts', import.meta.url).href)});
      const store = createFileTokenStore({ file: ${JSON.stringify(file)} });
      const base = ${JSON.stringify(record(0))};
      for (let at = 1; at <= 15; at += 1)
        await store.put({ ...base, paymentHash: (Number(process.argv[1]) * 100 + at).toString(16).padStart(64, '0') });`;
    const run = (at: number) =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, String(at)]);
    await Promise.all([run(1), run(2), run(3)]);
    assert.equal((await createFileTokenStore({ file }).list(ORIGIN)).length, 45);
  });
});
