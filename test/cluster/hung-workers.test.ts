import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type Agent, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import { eventually, termsOf } from '../e2e/scene.ts';
import { startUpstream } from '../proxy/wire.ts';
import { askAnew, type ClusterProcess, isAlive, startCluster } from './cluster-process.ts';

/* Real workers that are stopped with SIGSTOP, which no process can withstand: their event loop does not turn any more, and they live. */

const GATEWAY = join(import.meta.dirname, 'impatient-gateway.ts');
const PATIENCE_MS = 60_000;

async function openGateway(t: TestContext) {
  const upstream = await startUpstream((req, res) => {
    if (req.url !== '/live') {
      res.end('paid for');
      return;
    }
    res.on('error', () => {}).writeHead(200, { 'Content-Type': 'text/event-stream' });
    const timer = setInterval(() => res.write('data: tick\n\n'), 100);
    res.on('close', () => clearInterval(timer));
  });
  t.after(() => upstream.close());
  const services = `  - { name: call, path: /call, price: 100 sat for 100 calls, upstream: "${upstream.origin}" }
  - { name: live, path: /live, price: 1 sat/second, deposit: 900 sat, upstream: "${upstream.origin}" }
`;
  const gateway = await startCluster(services, 'workers: 2', GATEWAY);
  t.after(() => gateway.close());
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return { gateway, agent };
}

/** Opens a connection, and finds out which worker has it, by a path that nobody else asks for. */
async function connectToWorker({ url, lines, workers }: ClusterProcess, agent: Agent) {
  const [response] = (await once(http.get(`${url}/nothing-here`, { agent }), 'response')) as [
    IncomingMessage,
  ];
  await once(response.resume(), 'end');
  const line = () => lines().find(({ path }) => path === '/nothing-here');
  await eventually(() => line()?.worker !== undefined, PATIENCE_MS);
  const place = line()?.worker ?? 0;
  const pids = await workers();
  assert.equal(pids.length, 2);
  // The first ones were started in the order of their places.
  return { victim: pids[place - 1] ?? 0, other: pids[2 - place] ?? 0 };
}

/**
 * Stops a process, and not in the middle of a write: until it is killed, it would hold the lock of the ledger's file, and the others could
 * charge nothing.
 */
async function stop(pid: number, file: string): Promise<void> {
  const ledger = new DatabaseSync(file, { timeout: 0 });
  await eventually(() => {
    process.kill(pid, 'SIGSTOP');
    try {
      ledger.exec('BEGIN IMMEDIATE; ROLLBACK');
      return true;
    } catch {
      process.kill(pid, 'SIGCONT');
      return false;
    }
  }, PATIENCE_MS);
  ledger.close();
}

const hung = async ({ metrics }: ClusterProcess): Promise<number | undefined> =>
  (await metrics()).all.get('sluice_worker_exits_total{how="hung"}');

// They wait for most of their time: together.
describe('workers of which nothing is heard', { concurrency: 2 }, () => {
  test('a worker that hangs is killed and replaced, the other serves meanwhile, no client is lost that it had not taken, and what it held goes back', async (t) => {
    const { gateway, agent } = await openGateway(t);
    const calls = await gateway.buy('/call');
    const deposit = await gateway.buy('/live');
    const { victim, other } = await connectToWorker(gateway, agent);
    const stream = http.get(`${gateway.url}/live`, { agent, headers: { authorization: deposit } });
    const [live] = (await once(stream, 'response')) as [IncomingMessage];
    const broken = new Promise((resolve) => live.once('close', resolve));
    stream.on('error', () => {});
    live.on('error', () => {}).setEncoding('utf8');
    await once(live.resume(), 'data');

    await stop(victim, join(gateway.dir, 'data', 'ledger.db'));
    const asked = Array.from({ length: 20 }, () => askAnew(`${gateway.url}/call`, calls));
    await Promise.any(asked);
    assert.ok(!gateway.output().includes('a worker hangs and is killed'), 'it was not waited for');
    await gateway.untilSaid('a worker hangs and is killed');
    await broken;
    await gateway.untilSaid('a worker serves again');

    // Those that it was given first, too: they went to another.
    const answers = await Promise.all(asked);
    assert.ok(answers.every(({ status }) => status === 200));
    const spent = async (): Promise<number | undefined> =>
      (await gateway.store.account(termsOf(calls).accountId))?.spentMsat;
    assert.equal(await spent(), 20_000);
    const now = await gateway.workers();
    assert.equal(now.length, 2);
    assert.ok(now.includes(other) && !now.includes(victim) && !isAlive(victim));
    assert.equal(await hung(gateway), 1);
    const { all } = await gateway.metrics();
    assert.deepEqual(
      [all.get('sluice_workers'), all.get('sluice_worker_exits_total{how="died"}')],
      [2, undefined],
    );

    // Its lease runs out: only what was billed of the deposit is gone.
    const { accountId } = termsOf(deposit);
    await eventually(async () => (await gateway.store.account(accountId))?.reservedMsat === 0, PATIENCE_MS);
    const account = await gateway.store.account(accountId);
    assert.ok(account !== undefined && account.spentMsat < account.creditedMsat);
    assert.equal(account.creditedMsat, account.spentMsat + account.balanceMsat);
    // What came back can be spent: at the new worker and at the one that stayed.
    for (let n = 0; n < 4; n += 1) assert.equal((await askAnew(`${gateway.url}/call`, calls)).status, 200);
  });

  test('nobody is killed when all processes stood still, and the primary wakes first', async (t) => {
    const { gateway } = await openGateway(t);
    const calls = await gateway.buy('/call');
    const workers = await gateway.workers();
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    gateway.primary.kill('SIGSTOP');
    // Longer than anyone may be silent.
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    gateway.primary.kill('SIGCONT');
    // It answers after it waited for the workers' counts: so it has looked who was silent.
    assert.equal((await gateway.metrics()).all.get('sluice_workers'), 2);
    for (const pid of workers) process.kill(pid, 'SIGCONT');

    const serving = new Set<number | undefined>();
    await eventually(async () => {
      assert.equal((await askAnew(`${gateway.url}/call`, calls)).status, 200);
      for (const { path, status, worker } of gateway.lines()) {
        if (path === '/call' && status === 200) serving.add(worker);
      }
      return serving.size === 2;
    }, PATIENCE_MS);
    assert.deepEqual(await gateway.workers(), workers);
    assert.equal(await hung(gateway), undefined);
  });
});
