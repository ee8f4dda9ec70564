import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ask } from '../proxy/wire.ts';
import { eventually, openScene, type Scene } from './scene.ts';

/* What a newcomer does: start the gateway, fetch, pay, look into the wallet, stop it, start it again. */

const ROOT = join(import.meta.dirname, '..', '..');
const ON_FREE_PORTS = ['--port', '0', '--admin-port', '0', '--simnet-port', '0'];

interface Started {
  readonly url: string;
  readonly adminUrl: string;
  readonly child: ChildProcess;
  output(): string;
  /** Sends SIGTERM and waits for the end. @returns the exit code */
  stop(): Promise<number | null>;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(cwd: string, script: string, args: readonly string[]) {
  const child = spawn(process.execPath, [join(ROOT, script), ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', NODE_NO_WARNINGS: '1' },
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (text.stdout += chunk));
  child.stderr.on('data', (chunk) => (text.stderr += chunk));
  const ended = once(child, 'close').then(([code]): Ended => ({ code, ...text }));
  return { child, text, ended };
}

/** Starts the gateway as `npm start` does, in a folder of its own, and reads its address from the banner. */
async function start(scene: Scene, cwd: string, args: readonly string[] = ON_FREE_PORTS): Promise<Started> {
  const { child, text, ended } = run(cwd, 'gateway/main.ts', ['--data', 'data', ...args]);
  scene.keep({
    close: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  });
  await Promise.race([
    eventually(() => /Try it in another terminal/.test(text.stdout), 60_000),
    ended.then(({ stderr }) => assert.fail(`it ended: ${stderr}`)),
  ]);
  return {
    child,
    url: /gateway +(http:\S+)/.exec(text.stdout)?.[1] ?? '',
    adminUrl: /admin +(http:\S+)/.exec(text.stdout)?.[1] ?? '',
    output: () => text.stdout,
    stop: async () => {
      child.kill('SIGTERM');
      return (await ended).code;
    },
  };
}

/** Runs `sluice` in the same folder. */
function sluice(cwd: string, ...args: readonly string[]): Promise<Ended> {
  return run(cwd, 'gateway/cli/sluice.js', [...args, '--data', 'data']).ended;
}

async function openFolder(t: TestContext): Promise<{ scene: Scene; cwd: string }> {
  const scene = openScene(t);
  return { scene, cwd: await scene.folder() };
}

describe('npm start', { concurrency: 2 }, () => {
  it('a newcomer starts the demo, fetches, pays by hand, stops it, and finds the credit after a restart', async (t) => {
    const { scene, cwd } = await openFolder(t);
    const gateway = await start(scene, cwd);
    assert.match(gateway.output(), /PLAY MONEY/);
    assert.ok(gateway.output().includes(`npx sluice fetch ${gateway.url}/quote --data data`));
    assert.equal((await ask(`${gateway.adminUrl}/readyz`)).status, 200);
    for (const secret of ['admin.token', 'master.key', 'ledger.db', 'simnet.sqlite'])
      assert.equal((await stat(join(cwd, 'data', secret))).mode & 0o077, 0, secret);

    const fetched = await sluice(cwd, 'fetch', `${gateway.url}/quote`);
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.equal(typeof JSON.parse(fetched.stdout).author, 'string');
    assert.deepEqual(fetched.stderr.trimEnd().split('\n'), [
      '402 Payment Required: 10 sat (PLAY MONEY) (quote) …',
      'paid 10 sat + 0 sat fee (PLAY MONEY) …',
      '200 OK',
      'cost: 10 sat (PLAY MONEY), 0 sat left on the account',
    ]);

    const { invoice, authorization } = JSON.parse((await ask(`${gateway.url}/quote`)).body.toString());
    const paid = await sluice(cwd, 'pay', invoice);
    assert.equal(paid.code, 0, paid.stderr);
    assert.match(paid.stdout, /^[0-9a-f]{64}\n$/);
    const credential = authorization.replace('Authorization: ', '').replace('<preimage>', paid.stdout.trim());
    assert.equal((await ask(`${gateway.url}/quote`, { headers: { Authorization: credential } })).status, 200);

    const bundle = await sluice(cwd, 'fetch', `${gateway.url}/pack/weather`);
    assert.match(bundle.stderr, /cost: 50 sat .*49 sat|cost: 50 sat .*49500 msat left/);
    const over = await sluice(cwd, 'fetch', `${gateway.url}/library/`, '--max-sats', '199');
    assert.deepEqual([over.code, over.stdout], [110, '']);
    assert.match(over.stderr, /The price is 200 sat and only 199 sat is left/);

    assert.equal(await gateway.stop(), 0);
    const gone = await sluice(cwd, 'fetch', `${gateway.url}/quote`);
    assert.equal(gone.code, 111);
    assert.match(gone.stderr, /Start the gateway \(npm start\) first/);

    const port = new URL(gateway.url).port;
    const again = await start(scene, cwd, ['--port', port, '--admin-port', '0', '--simnet-port', '0']);
    const reused = await sluice(cwd, 'fetch', `${again.url}/pack/weather`);
    assert.equal(reused.code, 0, reused.stderr);
    assert.match(
      reused.stderr,
      /trying a token that was bought before.*\n200 OK\ncost: 0 sat .*49 sat left/s,
    );
    const balance = await sluice(cwd, 'wallet', 'balance');
    assert.deepEqual([balance.code, balance.stdout], [0, '999930 sat (PLAY MONEY)\n']);
    const history = await sluice(cwd, 'wallet', 'history');
    assert.equal(history.stdout.trimEnd().split('\n').length, 3);
    assert.equal(await again.stop(), 0);
  });

  it('an API of one’s own is sold in one line, and SIGTERM waits for its answer', async (t) => {
    const { scene, cwd } = await openFolder(t);
    const held: ServerResponse[] = [];
    const upstream = await scene.upstream((req, res) => {
      if (req.url === '/slow') held.push(res);
      else res.end(`mine: ${req.url}`);
    });
    const gateway = await start(scene, cwd, [
      ...ON_FREE_PORTS,
      '--upstream',
      upstream.origin,
      '--price',
      '2 sat for 2 calls',
    ]);
    const fetched = await sluice(cwd, 'fetch', `${gateway.url}/any/path?q=1`);
    assert.deepEqual([fetched.code, fetched.stdout], [0, 'mine: /any/path?q=1']);
    const slow = sluice(cwd, 'fetch', `${gateway.url}/slow`);
    await eventually(() => held.length === 1, 60_000);
    const stopped = gateway.stop();
    await eventually(() => gateway.output().includes('stopping'));
    held[0]?.end('finished');
    const answer = await slow;
    assert.deepEqual([answer.code, answer.stdout], [0, 'finished'], answer.stderr);
    assert.equal(await stopped, 0);
  });

  it('what is printed to be typed next names an address, not a pattern, also for a stream of one’s own', async (t) => {
    const { scene, cwd } = await openFolder(t);
    const own = ['--upstream', 'http://127.0.0.1:1', '--price', '100 msat/second'];
    const gateway = await start(scene, cwd, [...ON_FREE_PORTS, ...own]);
    await eventually(() => gateway.output().includes('sluice init'), 60_000);
    assert.match(gateway.output(), new RegExp(`npx sluice stream ${gateway.url}/ --data data `));
    assert.match(gateway.output(), /^Keep it in a file:$/m);
    assert.equal(await gateway.stop(), 0);
  });

  it('what stops a start is said in a line: a port in use, a data folder in use, play money in public', async (t) => {
    const { scene, cwd } = await openFolder(t);
    const gateway = await start(scene, cwd);
    const other = await scene.folder();
    const port = new URL(gateway.url).port;
    const refused = async (dir: string, ...args: readonly string[]): Promise<string> => {
      const { code, stderr } = await run(dir, 'gateway/main.ts', args).ended;
      assert.equal(code, 1, stderr);
      assert.doesNotMatch(stderr, /^\s+at /m, 'no stack');
      return stderr;
    };
    const free = ['--admin-port', '0', '--simnet-port', '0'];
    assert.match(
      await refused(other, '--data', 'other', '--port', port, ...free),
      new RegExp(`^Port ${port} is in use, perhaps by another gateway\\..*--port and --admin-port\\.\n$`),
    );
    const sameFolder = await refused(cwd, '--data', 'data', '--port', '0', ...free);
    assert.match(sameFolder, /in use|another (process|gateway)|locked/);
    assert.match(
      await refused(other, '--data', 'public', '--host', '0.0.0.0', '--port', '0', ...free),
      /play money.*127\.0\.0\.1.*allowPlayMoney: true/,
    );
    // None of it has hurt the one that runs.
    assert.equal((await ask(`${gateway.url}/free/hello`)).status, 200);
    assert.equal((await sluice(cwd, 'fetch', `${gateway.url}/quote`)).code, 0);
  });

  it('a gateway that is killed forgets no credit', async (t) => {
    const { scene, cwd } = await openFolder(t);
    const gateway = await start(scene, cwd);
    const { code } = await sluice(cwd, 'fetch', `${gateway.url}/pack/dice`);
    assert.equal(code, 0);
    gateway.child.kill('SIGKILL');
    await once(gateway.child, 'close');
    const port = new URL(gateway.url).port;
    const again = await start(scene, cwd, ['--port', port, '--admin-port', '0', '--simnet-port', '0']);
    const reused = await sluice(cwd, 'fetch', `${again.url}/pack/dice`);
    assert.match(reused.stderr, /trying a token that was bought before.*cost: 0 sat/s);
    assert.equal(await again.stop(), 0);
  });
});
