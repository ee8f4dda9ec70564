import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { type ConfigWatch, watchConfig } from '../../config/reload.ts';

interface Watched {
  readonly dir: string;
  readonly file: string;
  readonly signals: EventEmitter;
  readonly watch: ConfigWatch;
  /** What the watch says next. */
  next(): Promise<LoadedConfig | Error>;
}

function text(price: string, more = ''): string {
  return `${more}services: [{ name: api, price: ${price}, upstream: "http://127.0.0.1:3000" }]\n`;
}

/** Watches a file in a folder of its own; `prepare` writes it. */
function watching(t: TestContext, prepare: (dir: string) => string): Watched {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-reload-'));
  const file = prepare(dir);
  const signals = new EventEmitter();
  const said = new EventEmitter();
  const queue: (LoadedConfig | Error)[] = [];
  const say = (what: LoadedConfig | Error): void => {
    queue.push(what);
    said.emit('said');
  };
  const watch = watchConfig(() => loadConfig({ file, env: {}, cwd: dir }), say, say, {
    signals,
    debounceMs: 20,
  });
  t.after(() => {
    watch.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const next = async (): Promise<LoadedConfig | Error> => {
    if (queue.length === 0) await once(said, 'said', { signal: t.signal });
    return queue.shift() ?? assert.fail('nothing was said');
  };
  return { dir, file, signals, watch, next };
}

function plainFile(dir: string): string {
  const file = path.join(dir, 'sluice.yaml');
  writeFileSync(file, text('10 sat'));
  return file;
}

function priceOf(said: LoadedConfig | Error): number {
  if (said instanceof Error) return assert.fail(said.message);
  const price = said.config.services[0]?.price;
  return price?.kind === 'call' ? price.amountMsat : assert.fail('no price');
}

test('a file that is written anew is loaded', async (t) => {
  const { file, next } = watching(t, plainFile);
  writeFileSync(file, text('20 sat'));
  assert.equal(priceOf(await next()), 20_000);
});

test('a file that an editor replaces is loaded, again and again', async (t) => {
  const { dir, file, next } = watching(t, plainFile);
  for (const sats of [20, 30, 40]) {
    writeFileSync(path.join(dir, 'draft'), text(`${sats} sat`));
    renameSync(path.join(dir, 'draft'), file);
    assert.equal(priceOf(await next()), sats * 1_000);
  }
});

test('a link that Kubernetes swaps behind a mounted folder is noticed', async (t) => {
  const { dir, next } = watching(t, (mount) => {
    mkdirSync(path.join(mount, '..v1'));
    writeFileSync(path.join(mount, '..v1/sluice.yaml'), text('10 sat'));
    symlinkSync('..v1', path.join(mount, '..data'));
    symlinkSync('..data/sluice.yaml', path.join(mount, 'sluice.yaml'));
    return path.join(mount, 'sluice.yaml');
  });
  for (const version of [2, 3]) {
    mkdirSync(path.join(dir, `..v${version}`));
    writeFileSync(path.join(dir, `..v${version}/sluice.yaml`), text(`${version} sat`));
    symlinkSync(`..v${version}`, path.join(dir, '..data_tmp'));
    renameSync(path.join(dir, '..data_tmp'), path.join(dir, '..data'));
    rmSync(path.join(dir, `..v${version - 1}`), { recursive: true });
    assert.equal(priceOf(await next()), version * 1_000);
  }
});

test('a changed secret file is loaded too', async (t) => {
  const { dir, next } = watching(t, (folder) => {
    mkdirSync(path.join(folder, 'run'));
    writeFileSync(path.join(folder, 'run/secret'), 'first-secret-0123456789');
    const file = path.join(folder, 'sluice.yaml');
    writeFileSync(file, text('1 sat', 'identitySecret: $' + '{file:run/secret}\n'));
    return file;
  });
  writeFileSync(path.join(dir, 'run/secret'), 'second-secret-0123456789');
  const said = await next();
  assert.ok(!(said instanceof Error));
  assert.equal(said.config.identitySecret, 'second-secret-0123456789');
});

test('SIGHUP loads it, changed or not', async (t) => {
  const { signals, next } = watching(t, plainFile);
  signals.emit('SIGHUP');
  assert.equal(priceOf(await next()), 10_000);
});

test('a bad file is refused and says why; the next good one is taken', async (t) => {
  const { file, next } = watching(t, plainFile);
  writeFileSync(file, text('10 stas'));
  const refused = await next();
  assert.ok(refused instanceof Error);
  assert.match(refused.message, /sluice\.yaml:1:\d+: services\[0\]\.price/);
  rmSync(file);
  assert.ok((await next()) instanceof Error);
  writeFileSync(file, text('30 sat'));
  assert.equal(priceOf(await next()), 30_000);
});

test('what needs a restart is named and kept as it was, while the rest is taken', async (t) => {
  const { dir, file, next } = watching(t, plainFile);
  writeFileSync(file, text('20 sat', 'listen: 127.0.0.1:9999\ndata: ./other\nstore: memory\ntitle: New\n'));
  const said = await next();
  assert.ok(!(said instanceof Error));
  assert.equal(priceOf(said), 20_000);
  assert.equal(said.config.title, 'New');
  assert.equal(said.config.listen[0]?.port, 8402);
  assert.equal(said.config.dataDir, path.join(dir, '.sluice'));
  assert.equal(said.config.store.type, 'sqlite');
  assert.ok(Object.isFrozen(said.config));
  assert.match(said.warnings.at(-1) ?? '', /^listen, data, store changed in the file; this needs a restart/);
});

test('what does not go together with that which needs a restart is refused', async (t) => {
  const { file, next } = watching(t, plainFile);
  const redis = 'store: redis://127.0.0.1:6379\n';
  writeFileSync(file, text('20 sat', `${redis}challenge: { shared: true }\n`));
  const refused = await next();
  assert.ok(refused instanceof Error);
  assert.match(
    refused.message,
    /^until a restart, which a change of store needs: challenge\.shared needs a store in Redis, and the store is sqlite\./,
  );
  writeFileSync(file, text('30 sat', redis));
  assert.equal(priceOf(await next()), 30_000);
});

test('a closed watch leaves no listener behind', (t) => {
  const { signals, watch } = watching(t, plainFile);
  assert.equal(signals.listenerCount('SIGHUP'), 1);
  watch.close();
  assert.equal(signals.listenerCount('SIGHUP'), 0);
});
