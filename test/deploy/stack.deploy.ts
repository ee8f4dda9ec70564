import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { request } from 'undici';
import { createBudget, createMemoryTokenStore, createPayingFetch, sats } from '../../client/index.ts';
import { openSimulatedWallet } from '../../client/wallets/simulated.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { check, DEPLOY, missing, ROOT } from './programs.ts';

/*
 * The parts of deploy/compose without containers: Redis, HAProxy and both gateways with the very files that the containers get, the
 * names of containers replaced by addresses of this machine.
 */

const PATIENCE_MS = 60_000;

interface Ports {
  readonly redis: number;
  readonly balancer: number;
  readonly simnet: number;
  readonly gateways: readonly [number, number];
  readonly admins: readonly [number, number];
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Asks until it is answered with 200. */
async function untilUp(url: string): Promise<void> {
  const untilMs = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      const { statusCode, body } = await request(url);
      await body.dump();
      if (statusCode === 200) return;
    } catch {
      // Not yet.
    }
    if (Date.now() > untilMs) assert.fail(`${url} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A program of the stack; what it says is shown when it ends too early. */
function start(
  t: TestContext,
  program: string,
  args: readonly string[],
  cwd: string,
  env = {},
): ChildProcess {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  child.stderr.on('data', (chunk) => (said += chunk));
  const ended = endWithUs(child);
  t.after(async () => {
    if (child.exitCode !== null && child.exitCode !== 0) t.diagnostic(`${program}: ${said.slice(-2_000)}`);
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

async function writeFiles(dir: string, ports: Ports, upstream: string): Promise<void> {
  await cp(path.join(DEPLOY, 'compose'), dir, {
    recursive: true,
    filter: (from) => path.basename(from) !== 'secrets',
  });
  await check(path.join(dir, 'make-secrets.sh'), []);
  const rewrite = async (name: string, to: string, change: (text: string) => string) =>
    writeFile(path.join(dir, to), change(await readFile(path.join(dir, name), 'utf8')));
  await rewrite('redis.conf', 'redis.conf', (text) =>
    text
      .replace('bind * -::*', `bind 127.0.0.1\nport ${ports.redis}`)
      .replace('/run/secrets/redis-auth', path.join(dir, 'secrets', 'redis-auth.conf')),
  );
  await rewrite('haproxy.cfg', 'haproxy.cfg', (text) =>
    text
      .replace('bind :8402', `bind 127.0.0.1:${ports.balancer}`)
      .replace('gateway-1:8402', `127.0.0.1:${ports.gateways[0]} check port ${ports.admins[0]}`)
      .replace('gateway-2:8402', `127.0.0.1:${ports.gateways[1]} check port ${ports.admins[1]}`)
      .replace('check port 8403 ', '')
      .replace(/ init-addr \S+ resolvers docker/, '')
      .replace(/# Containers get new[\s\S]*/, '')
      .replace(/log stdout.*/, '')
      .replace('maxconn 20000', 'maxconn 1000'),
  );
  for (const at of [0, 1] as const) {
    await rewrite('sluice.yaml', `sluice-${at}.yaml`, (text) =>
      text
        .replace('listen: :8402', `listen: 127.0.0.1:${ports.gateways[at]}`)
        .replace('admin: :8403', `admin: 127.0.0.1:${ports.admins[at]}`)
        .replace('172.30.84.10', '127.0.0.1')
        .replace('redis:6379', `127.0.0.1:${ports.redis}`)
        .replace('http://simnet:8404', `http://127.0.0.1:${ports.simnet}`)
        .replaceAll('/run/secrets/', `${dir}/secrets/`)
        .replace('/simnet/', `${dir}/simnet/`)
        .replace(/\$\{SLUICE_UPSTREAM\}/, upstream),
    );
  }
}

test('the stack of deploy/compose sells through its load balancer, and goes on when a gateway is killed', {
  skip: missing('haproxy', 'redis-server', 'openssl'),
}, async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-stack-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const seen: (string | undefined)[] = [];
  const upstream = createServer((req, res) => {
    seen.push(req.headers['x-forwarded-for']?.toString());
    res.end('answer');
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  t.after(() => upstream.close());
  const ports: Ports = {
    redis: await freePort(),
    balancer: await freePort(),
    simnet: await freePort(),
    gateways: [await freePort(), await freePort()],
    admins: [await freePort(), await freePort()],
  };
  await writeFiles(dir, ports, `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  await mkdir(path.join(dir, 'redis'));
  start(t, 'redis-server', [path.join(dir, 'redis.conf')], path.join(dir, 'redis'));
  const cli = path.join(ROOT, 'gateway', 'cli', 'sluice.js');
  start(t, process.execPath, [cli, 'simnet', '--data', 'simnet', '--port', `${ports.simnet}`], dir);
  await untilUp(`http://127.0.0.1:${ports.simnet}/v1/state`);
  const gateways = ([0, 1] as const).map((at) =>
    start(
      t,
      process.execPath,
      [
        path.join(ROOT, 'gateway', 'main.ts'),
        '--config',
        path.join(dir, `sluice-${at}.yaml`),
        '--data',
        path.join(dir, `data-${at}`),
      ],
      dir,
    ),
  );
  for (const port of ports.admins) await untilUp(`http://127.0.0.1:${port}/readyz`);
  start(t, 'haproxy', ['-db', '-f', path.join(dir, 'haproxy.cfg')], dir);

  const token = (await readFile(path.join(dir, 'secrets', 'admin-token'), 'utf8')).trim();
  for (const port of ports.admins) {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}/api/totals`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await body.dump();
    assert.equal(statusCode, 200, 'one token for both');
  }

  const url = `http://127.0.0.1:${ports.balancer}/thing`;
  const pay = createPayingFetch({
    wallet: await openSimulatedWallet({ dataDir: path.join(dir, 'simnet') }),
    budget: createBudget({ perRequestMsat: sats(100) }),
    store: createMemoryTokenStore(),
  });
  const fetchPaid = async (): Promise<void> => {
    const answer = await pay(url, { headers: { 'X-Forwarded-For': '203.0.113.7' } });
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), 'answer');
  };
  await untilBalanced(url);
  for (let call = 0; call < 4; call += 1) await fetchPaid();
  assert.ok(
    seen.every((forwardedFor) => forwardedFor?.startsWith('127.0.0.1')),
    `what a client claims to be does not come through: ${seen}`,
  );
  gateways[0]?.kill('SIGKILL');
  for (let call = 0; call < 4; call += 1) await fetchPaid();
  assert.equal(seen.length, 8);
});

/** The balancer knows of a gateway that is up, and asks it. */
async function untilBalanced(url: string): Promise<void> {
  const untilMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const { statusCode, body } = await request(url, { method: 'HEAD' }).catch(() => ({
      statusCode: 0,
      body: { dump: async () => {} },
    }));
    await body.dump();
    if (statusCode === 402) return;
    if (Date.now() > untilMs) assert.fail(`the load balancer answers ${statusCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
