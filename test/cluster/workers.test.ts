import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { eventually, termsOf } from '../e2e/scene.ts';
import { startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { askTopUp } from '../support/top-up.ts';
import {
  askAnew,
  type ClusterProcess,
  isAlive,
  launch,
  type Metrics,
  startCluster,
} from './cluster-process.ts';

/* Two workers and their primary as real processes, on one SQLite file. The tests of a group share a gateway, in this order. */

const CALLS = 100;

function services(upstream: string, price = '100 sat for 100 calls'): string {
  return `  - { name: call, path: /call, price: ${price}, upstream: "${upstream}" }
  - { name: one, path: /one, price: 10 sat, upstream: "${upstream}" }
  - { name: slow, path: /slow, price: free, upstream: "${upstream}" }
  - { name: live, path: /live, price: 1 sat/second, deposit: 2 sat, hold: 45s, upstream: "${upstream}" }
  - { name: reel, path: /reel, price: 1 sat/second, deposit: 900 sat, streams: { max: 2, charge: once }, upstream: "${upstream}" }
`;
}

describe('two workers on one ledger', () => {
  let upstream: TestUpstream;
  let gateway: ClusterProcess;
  let served = 0;
  const held: ServerResponse[] = [];
  before(async () => {
    upstream = await startUpstream((req, res) => answer(req, res));
    gateway = await startCluster(services(upstream.origin));
  });
  after(async () => {
    await gateway?.close();
    await upstream?.close();
  });
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    if (req.url === '/slow') held.push(res);
    else if (req.url === '/live') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const timer = setInterval(() => res.write('data: tick\n\n'), 100);
      res.on('close', () => clearInterval(timer)).write('data: first\n\n');
    } else {
      served += 1;
      res.end('paid for');
    }
  };

  it('serve paid calls in turn, and charge each once', async () => {
    const credential = await gateway.buy('/call');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => askAnew(`${gateway.url}/call`, credential)),
    );
    assert.ok(answers.every(({ status }) => status === 200));
    const account = await gateway.store.account(termsOf(credential).accountId);
    assert.equal(account?.spentMsat, 20_000);
    assert.equal(account?.balanceMsat, 80_000);
    await eventually(() => gateway.lines().filter(({ path }) => path === '/call').length >= 21);
    const by = new Set(gateway.lines().flatMap(({ access, worker }) => (access ? [worker] : [])));
    assert.deepEqual([...by].sort(), [1, 2]);
    assert.equal(gateway.output().match(/PLAY MONEY/g)?.length, 1, 'one banner');
  });

  it('serve credit for one call exactly once, whoever is asked', async () => {
    const credential = await gateway.buy('/one');
    const before = served;
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => askAnew(`${gateway.url}/one`, credential)),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.equal(answers.filter(({ status }) => status === 402).length, 11);
    assert.equal(served, before + 1);
  });

  it('count the connections that are open at both', async () => {
    const open = async (): Promise<number | undefined> =>
      (await gateway.metrics()).all.get('sluice_connections');
    const { hostname, port } = new URL(gateway.url);
    const connect = () => net.connect(Number(port), hostname).on('error', () => {});
    const sockets = Array.from({ length: 50 }, connect);
    // A few that earlier requests have left may be open beside them.
    await eventually(async () => ((await open()) ?? 0) >= 50, 30_000);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => ((await open()) ?? 50) < 25, 30_000);
  });

  it('resume a held stream of one by a top-up through the other', async () => {
    const credential = await gateway.buy('/live');
    const stream = http.get(`${gateway.url}/live`, { agent: false, headers: { authorization: credential } });
    const [response] = (await once(stream, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    await eventually(() => text.includes('payment-need-topup'), 30_000);
    // Two in a row: one of them through the worker that does not hold the stream.
    for (const _ of [1, 2]) {
      const { invoice } = await askTopUp(gateway.url, credential, { amountMsat: 5_000 });
      await gateway.pay(invoice);
    }
    const at = text.length;
    await eventually(() => text.indexOf('data: tick', at) > 0, 30_000);
    response.on('error', () => {});
    stream.destroy();
  });

  it('take a new configuration, all of them', async () => {
    await gateway.writeConfig(services(upstream.origin, '7 sat'));
    await gateway.untilSaid('the configuration was reloaded');
    await eventually(async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => askAnew(`${gateway.url}/call`)));
      return answers.every(({ status, body }) => status === 402 && JSON.parse(body).amountMsat === 7_000);
    }, 30_000);
    await gateway.writeConfig(services(upstream.origin), 'workers: 3');
    await gateway.untilSaid('workers changed in the file; this needs a restart');
  });

  it('lose no counter, no money and no client for long when one is killed', async () => {
    const credentials = await Promise.all([1, 2, 3, 4].map(() => gateway.buy('/call')));
    const start = await gateway.metrics();
    const [victim = 0] = await gateway.workers();
    const before = served;
    let paid = 0;
    let broken = 0;
    const call = async (credential: string): Promise<void> => {
      for (let n = 0; n < CALLS / 2; n += 1) {
        const { status } = await askAnew(`${gateway.url}/call`, credential).catch(() => ({ status: 0 }));
        if (status === 200) paid += 1;
        else broken += 1;
        if (paid === CALLS / 2) process.kill(victim, 'SIGKILL');
      }
    };
    const scrapes = [start];
    const done = Promise.all(credentials.map(call));
    let calling = true;
    void done.finally(() => {
      calling = false;
    });
    while (calling) {
      scrapes.push(await gateway.metrics());
      await pace(50);
    }
    await done;
    await gateway.untilSaid('a worker serves again');
    scrapes.push(await gateway.metrics());
    assertMonotonic(scrapes);
    assert.equal(scrapes.at(-1)?.all.get('sluice_workers'), 2);
    assert.equal(scrapes.at(-1)?.all.get('sluice_worker_exits_total{how="died"}'), 1);

    assert.ok(paid > CALLS, `${paid} served, ${broken} broken`);
    const accounts = await Promise.all(
      credentials.map((credential) => gateway.store.account(termsOf(credential).accountId)),
    );
    const spent = accounts.reduce((sum, account) => sum + (account?.spentMsat ?? 0), 0);
    // What was charged and not answered died with the worker: no more than was under way there.
    assert.ok(spent >= (served - before) * 1_000, 'nothing was served unpaid');
    assert.ok(spent <= (paid + broken) * 1_000, 'nothing was charged twice');
    for (const account of accounts) {
      assert.ok(account);
      assert.equal(account.creditedMsat, account.spentMsat + account.reservedMsat + account.balanceMsat);
    }
  });

  it('are replaced one after the other without a refused connection or a cut answer', async () => {
    const credential = await gateway.buy('/call');
    const under = askAnew(`${gateway.url}/slow`);
    await eventually(() => held.length === 1);
    const old = await gateway.workers();
    gateway.primary.kill('SIGUSR2');
    await gateway.untilSaid('the workers are replaced');
    let asked = 0;
    while (!gateway.output().includes('all workers were replaced')) {
      const { status } = await askAnew(`${gateway.url}/${asked % 4 === 0 ? 'call' : 'one'}`, credential);
      assert.ok(status === 200 || status === 402, String(status));
      asked += 1;
      if (asked === 20) held[0]?.end('waited for');
      await pace(10);
    }
    assert.equal((await under).body, 'waited for');
    const now = await gateway.workers();
    assert.equal(now.length, 2);
    assert.ok(now.every((pid) => !old.includes(pid)));
  });

  it('finish what is under way at SIGTERM, and leave nobody behind', async () => {
    held.length = 0;
    const under = [1, 2].map(() => askAnew(`${gateway.url}/slow`));
    await eventually(() => held.length === 2);
    const workers = await gateway.workers();
    gateway.primary.kill('SIGTERM');
    await eventually(
      async () => (await askAnew(`${gateway.url}/one`).catch(() => undefined)) === undefined,
      30_000,
    );
    assert.ok(workers.every(isAlive));
    for (const response of held) response.end('finished');
    assert.deepEqual(
      (await Promise.all(under)).map(({ body }) => body),
      ['finished', 'finished'],
    );
    const { code, stderr } = await gateway.ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.ok(!workers.some(isAlive));
  });
});

/** Leaves the machine to the processes that are tried: other requests come in the meantime, and nothing waits for this. */
function pace(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** No counter and no part of a histogram falls. */
function assertMonotonic(scrapes: readonly Metrics[]): void {
  assert.ok(scrapes.length > 2);
  for (const [at, { growing }] of scrapes.slice(1).entries()) {
    for (const [key, value] of scrapes[at]?.growing ?? []) {
      const next = growing.get(key);
      assert.ok(next !== undefined && next >= value, `${key} fell from ${value} to ${next}`);
    }
  }
}

describe('the streams of an account', () => {
  it('are counted over all workers also when they are charged once, and those of killed ones make room in time', async (t) => {
    const upstream = await startUpstream((_req, res) => {
      res.on('error', () => {}).writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write('data: 1\n\n');
    });
    t.after(() => upstream.close());
    const gateway = await startCluster(services(upstream.origin));
    t.after(() => gateway.close());
    const credential = await gateway.buy('/reel');
    const ask = () => openStream(t, `${gateway.url}/reel`, credential);
    const streams = [await ask(), await ask()];
    assert.deepEqual(
      streams.map(({ statusCode }) => statusCode),
      [200, 200],
    );
    const refusing = new Set<number | undefined>();
    // Each new connection goes to the next worker.
    await eventually(async () => {
      assert.equal((await ask()).statusCode, 429);
      for (const { path, status, worker } of gateway.lines()) {
        if (path === '/reel' && status === 429) refusing.add(worker);
      }
      return refusing.size === 2;
    }, 30_000);
    const broken = streams.map((stream) => new Promise((resolve) => stream.once('close', resolve)));
    for (const pid of await gateway.workers()) process.kill(pid, 'SIGKILL');
    await Promise.all(broken);
    await gateway.untilSaid('a worker serves again');
    let open = 0;
    await eventually(async () => {
      const stream = await ask().catch(() => undefined);
      if (stream?.statusCode === 200) open += 1;
      return open === 2;
    }, 60_000);
    assert.equal((await ask()).statusCode, 429);
  });
});

/** The head of an answer, which stays open until the test is over. */
async function openStream(t: TestContext, url: string, authorization: string): Promise<IncomingMessage> {
  const request = http.get(url, { agent: false, headers: { authorization } });
  t.after(() => request.destroy());
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  request.on('error', () => {});
  response.on('error', () => {}).resume();
  return response;
}

describe('a primary', () => {
  it('that is killed leaves workers that finish and end', async (t) => {
    const held: ServerResponse[] = [];
    const upstream = await startUpstream((_req, res) => void held.push(res));
    t.after(() => upstream.close());
    const gateway = await startCluster(services(upstream.origin));
    t.after(() => gateway.close());
    const under = askAnew(`${gateway.url}/slow`);
    await eventually(() => held.length === 1);
    const workers = await gateway.workers();
    assert.equal(workers.length, 2);
    gateway.primary.kill('SIGKILL');
    await once(gateway.primary, 'exit');
    held[0]?.end('finished');
    assert.equal((await under).body, 'finished');
    await eventually(() => !workers.some(isAlive), 30_000);
  });

  it('whose workers find that the keys are others ends with all of them, and says so once', async (t) => {
    const upstream = await startUpstream((_req, res) => void res.end());
    t.after(() => upstream.close());
    const gateway = await startCluster(services(upstream.origin));
    t.after(() => gateway.close());
    await writeFile(join(gateway.dir, 'data', 'master.key'), `${'ab'.repeat(32)}\n`);
    const workers = await gateway.workers();
    process.kill(workers[0] ?? 0, 'SIGKILL');
    const { code, stderr } = await gateway.ended;
    assert.equal(code, 1);
    assert.match(stderr, /^The store at \S+ was written with another master key: [^\n]*\n$/);
    assert.ok(!workers.some(isAlive));
  });

  it('whose port is taken says so once, and leaves nobody', async (t) => {
    const other = await startUpstream((_req, res) => void res.end());
    t.after(() => other.close());
    const dir = await mkdtemp(join(tmpdir(), 'sluice-cluster-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const { ended } = launch(
      dir,
      ...['--workers', '2', '--upstream', 'http://127.0.0.1:9', '--price', '1 sat', '--data', 'other'],
      ...['--port', String(other.port), '--admin-port', '0', '--simnet-port', '0'],
    );
    const { code, stderr } = await ended;
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`^Port ${other.port} is in use, perhaps by another gateway\\.[^\\n]*\\n$`),
    );
  });
});
