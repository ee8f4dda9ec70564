import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { METRICS } from '../../gateway/observe/metric-table.ts';
import { check, DEPLOY, missing, ROOT } from './programs.ts';

/* The files below deploy/, each held by the checker of the program that reads it. */

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-deploy-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const COMPOSE = path.join(DEPLOY, 'compose', 'compose.yaml');

test('compose.yaml has the form of the Compose specification', {
  skip: missing('check-jsonschema'),
}, async () => {
  await check('check-jsonschema', ['--builtin-schema', 'vendor.compose-spec', COMPOSE]);
});

const composeFile = z.object({
  services: z.record(
    z.string(),
    z.object({
      volumes: z.array(z.string()).optional(),
      ports: z.array(z.string()).optional(),
      secrets: z.array(z.string()).optional(),
      networks: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]).optional(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
  networks: z.record(z.string(), z.unknown()),
});

test('every file, volume, secret and network that compose.yaml names is there, and nothing but the load balancer is for others', async (t) => {
  const dir = await folder(t);
  await cp(path.join(DEPLOY, 'compose'), dir, {
    recursive: true,
    filter: (from) => path.basename(from) !== 'secrets',
  });
  await check(path.join(dir, 'make-secrets.sh'), []);
  const text = await readFile(COMPOSE, 'utf8');
  const { services, volumes, secrets, networks } = composeFile.parse(parse(text, { merge: true }));
  for (const { file } of Object.values(secrets)) await stat(path.join(dir, file));
  for (const [name, service] of Object.entries(services)) {
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.replace(/\$\{SLUICE_CONFIG:-([\w.]+)\}/, '$1').split(':');
      if (!source.startsWith('.')) assert.ok(source in volumes, `${name}: ${volume}`);
      else await stat(path.join(DEPLOY, 'compose', source));
    }
    for (const secret of service.secrets ?? []) assert.ok(secret in secrets, `${name}: ${secret}`);
    const named = Array.isArray(service.networks) ? service.networks : Object.keys(service.networks ?? {});
    for (const network of named) assert.ok(network in networks, `${name}: ${network}`);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, `${name}: ${port}`);
  }
});

test('make-secrets.sh makes each secret once, and keeps the folder to its owner', {
  skip: missing('openssl'),
}, async (t) => {
  const dir = await folder(t);
  await cp(path.join(DEPLOY, 'compose', 'make-secrets.sh'), path.join(dir, 'make-secrets.sh'));
  const read = async () =>
    Promise.all(
      (await readdir(path.join(dir, 'secrets'))).map(async (name) => [
        name,
        await readFile(path.join(dir, 'secrets', name), 'utf8'),
      ]),
    );
  await check(path.join(dir, 'make-secrets.sh'), []);
  const first = await read();
  assert.equal((await stat(path.join(dir, 'secrets'))).mode & 0o777, 0o700);
  await check(path.join(dir, 'make-secrets.sh'), []);
  assert.deepEqual(await read(), first);
  const made = Object.fromEntries(first);
  assert.match(made['master-key'], /^[0-9a-f]{64}\n$/);
  assert.equal(made['redis-auth.conf'], `requirepass ${made['redis-password']}`);
});

test('HAProxy takes its configuration', { skip: missing('haproxy') }, async () => {
  const said = await check('haproxy', ['-c', '-f', path.join(DEPLOY, 'compose', 'haproxy.cfg')]);
  assert.match(said, /Configuration file is valid|^$/);
});

test('both configurations of the gateways are good', { skip: missing('openssl') }, async (t) => {
  const dir = await folder(t);
  await cp(path.join(DEPLOY, 'compose'), dir, { recursive: true });
  await rm(path.join(dir, 'secrets'), { recursive: true, force: true });
  await check(path.join(dir, 'make-secrets.sh'), []);
  await writeFile(path.join(dir, 'secrets', 'gateway.macaroon'), `${'0a'.repeat(32)}\n`);
  await rm(path.join(dir, 'secrets', 'lnd-macaroon'));
  await writeFile(path.join(dir, 'secrets', 'lnd-macaroon'), `${'0b'.repeat(32)}\n`);
  for (const name of ['sluice.yaml', 'sluice.lnd.yaml']) {
    const file = path.join(dir, name);
    const text = (await readFile(file, 'utf8'))
      .replaceAll('/run/secrets/', `${dir}/secrets/`)
      .replace('/simnet/', `${dir}/secrets/`);
    await writeFile(file, text);
    const cli = path.join(ROOT, 'gateway', 'cli', 'sluice.js');
    const said = await check(process.execPath, [cli, 'check-config', file], ROOT, {
      SLUICE_UPSTREAM: 'http://upstream:80',
    });
    assert.match(said, /OK\n/, name);
  }
});

test('Prometheus takes its configuration, and the alerts fire when they should', {
  skip: missing('promtool'),
}, async () => {
  const dir = path.join(DEPLOY, 'prometheus');
  await check('promtool', ['check', 'config', '--syntax-only', 'prometheus.yml'], dir);
  await check('promtool', ['check', 'rules', 'alerts.yml'], dir);
  await check('promtool', ['test', 'rules', 'alerts.test.yml'], dir);
});

test('every metric that an alert asks for is one that the gateway has', async () => {
  const text = await readFile(path.join(DEPLOY, 'prometheus', 'alerts.yml'), 'utf8');
  const known = new Set<string>(Object.values(METRICS).map(({ name }) => name));
  const asked = new Set(text.match(/sluice_[a-z_]+(?=[{[) ])/g) ?? []);
  assert.ok(asked.size > 5);
  assert.deepEqual(
    [...asked].filter((name) => !known.has(name)),
    [],
  );
});

test('systemd takes the unit, and finds it well shut', { skip: missing('systemd-analyze') }, async (t) => {
  const dir = await folder(t);
  const unit = await readFile(path.join(DEPLOY, 'systemd', 'sluice.service'), 'utf8');
  // The program is looked for: here it lies elsewhere.
  const here = unit.replaceAll('/opt/sluice/node_modules/node/bin/node', process.execPath);
  await writeFile(path.join(dir, 'sluice.service'), here);
  assert.equal(await check('systemd-analyze', ['verify', path.join(dir, 'sluice.service')]), '');
  await check('systemd-analyze', ['security', '--offline=true', '--threshold=25', 'sluice.service'], dir);
});

test('the Dockerfile has nothing that its linter refuses', { skip: missing('hadolint') }, async () => {
  // Debian's packages of the day are what an image of the day should have.
  await check('hadolint', ['--ignore', 'DL3008', '--failure-threshold', 'warning', 'Dockerfile']);
});
