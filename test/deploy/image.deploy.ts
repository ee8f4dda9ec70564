import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { endWithUs } from '../support/end-with-us.ts';
import { missing, ROOT } from './programs.ts';

/*
 * The Dockerfile's steps by hand, since no engine is needed for them: what is copied is enough to build, what is left after the prune is
 * enough to run, as a user without rights, over a folder that it can't write to, and the health check of the image finds it well.
 */

const run = promisify(execFile);
const IMAGE_USER = 1000;

/** The words of an instruction in JSON form. */
function wordsOf(dockerfile: string, instruction: RegExp): readonly string[] {
  const words: unknown = JSON.parse(instruction.exec(dockerfile)?.[1] ?? '[]');
  assert.ok(Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string'));
  return words;
}

async function build(app: string, dockerfile: string): Promise<void> {
  await mkdir(app);
  const [stage = ''] = dockerfile.split(/^FROM .*$/m).slice(1);
  for (const [, sources = ''] of stage.matchAll(/^COPY (.+) \S+$/gm)) {
    for (const source of sources.split(' '))
      await cp(path.join(ROOT, source), path.join(app, source), { recursive: true });
  }
  const npm = (...args: string[]) => run('npm', args, { cwd: app, timeout: 300_000 });
  await npm('ci', '--ignore-scripts', '--no-audit', '--no-fund');
  // On linux-x64 it is prebuilt; elsewhere the image compiles it, which is not tried here.
  if (process.arch === 'x64') {
    await run(process.execPath, ['-e', "require('./node_modules/secp256k1/bindings')"], { cwd: app });
  }
  await npm('run', 'build');
  await npm('prune', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund');
}

/** What the second stage keeps. */
async function assemble(built: string, image: string): Promise<void> {
  await mkdir(path.join(image, 'gateway', 'cli'), { recursive: true });
  for (const name of ['package.json', 'node_modules', 'dist'])
    await cp(path.join(built, name), path.join(image, name), { recursive: true, verbatimSymlinks: true });
  await cp(path.join(ROOT, 'gateway', 'cli', 'sluice.js'), path.join(image, 'gateway', 'cli', 'sluice.js'));
  // The Node of the base image.
  await cp(process.execPath, path.join(image, 'node'));
  await symlink(path.join(image, 'gateway', 'cli', 'sluice.js'), path.join(image, 'sluice'));
}

test('the image’s steps make a gateway that runs without rights and passes its own health check', {
  skip:
    missing('setpriv') || (process.getuid?.() === 0 ? false : 'needs root, to become the user of the image'),
}, async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-image-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  const dockerfile = await readFile(path.join(ROOT, 'Dockerfile'), 'utf8');
  const image = path.join(dir, 'image');
  await build(path.join(dir, 'build'), dockerfile);
  await assemble(path.join(dir, 'build'), image);
  const data = path.join(dir, 'data');
  await mkdir(data, { mode: 0o700 });
  await run('chown', [`${IMAGE_USER}:${IMAGE_USER}`, data]);
  const config = path.join(dir, 'sluice.yaml');
  await writeFile(
    config,
    'listen: 127.0.0.1:0\nadmin: 127.0.0.1:8403\nupstream: http://127.0.0.1:9\nservices: [{ name: api, path: /*, price: 1 sat }]\n',
  );

  const [program = '', ...entry] = wordsOf(dockerfile, /^ENTRYPOINT (\[.*\])$/m);
  const command = wordsOf(dockerfile, /^CMD (\[.*\])$/m).map((word) =>
    word === '/etc/sluice/sluice.yaml' ? config : word === '/data' ? data : word,
  );
  assert.equal(program, 'node');
  const asUser = ['--reuid', `${IMAGE_USER}`, '--regid', `${IMAGE_USER}`, '--clear-groups'];
  const gateway = spawn(
    'setpriv',
    [...asUser, path.join(image, 'node'), ...entry, ...command, '--simnet-port', '0', '--admin-port', '0'],
    { cwd: image, env: { NODE_ENV: 'production' }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = endWithUs(gateway);
  t.after(() => gateway.kill('SIGKILL'));
  const { promise: banner, resolve } = Promise.withResolvers<string>();
  let text = '';
  gateway.stdout.on('data', (chunk) => {
    text += chunk;
    if (/admin +http\S+[\s\S]*store/.test(text)) resolve(text);
  });
  const said = await Promise.race([banner, ended.then(() => assert.fail(`the gateway ended: ${text}`))]);
  const admin = /admin +(http:\S+)/.exec(said)?.[1] ?? '';

  const health = wordsOf(dockerfile, /HEALTHCHECK [^[]*(\[.*\])/m).map((word) =>
    word.replace('http://127.0.0.1:8403', admin),
  );
  await run(path.join(image, 'node'), health.slice(1));
  const { stdout } = await run(path.join(image, 'node'), [path.join(image, 'sluice'), '--version']);
  assert.match(stdout, /^\d+\.\d+\.\d+/);

  gateway.kill('SIGTERM');
  await ended;
  assert.equal(gateway.exitCode, 0);
  await assert.rejects(run(path.join(image, 'node'), health.slice(1)), 'a gateway that is gone is not well');
});
