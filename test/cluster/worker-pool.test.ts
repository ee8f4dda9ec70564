import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { WorkerEnd, WorkerProcess } from '../../gateway/cluster/fork-worker.ts';
import type { FromWorker, ToWorker } from '../../gateway/cluster/messages.ts';
import { createWorkerPool, type PoolOptions } from '../../gateway/cluster/worker-pool.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { eventually } from '../e2e/scene.ts';
import { testConfig } from '../support/config.ts';

/* What the pool does with processes that behave badly; workers.test.ts has it do so with real ones. */

interface Played {
  readonly heard: ToWorker[];
  say(message: FromWorker): void;
  end(end?: Partial<WorkerEnd>): void;
  killed: boolean;
}

const CONNECTIONS = { join: () => {}, took: () => {}, leave: () => {}, lost: () => {} };

function openPool(workers: number, change: Partial<PoolOptions> = {}) {
  const played: Played[] = [];
  const lines: string[] = [];
  const fork = (): WorkerProcess => {
    const heard: ToWorker[] = [];
    let listener: (message: unknown) => void = () => {};
    const { promise, resolve } = Promise.withResolvers<WorkerEnd>();
    const one: Played = {
      heard,
      say: (message) => listener(message),
      end: (end = {}) => resolve({ code: 1, signal: null, ...end }),
      killed: false,
    };
    played.push(one);
    return {
      send: (message) => void heard.push(message),
      sendConnection: () => {},
      onMessage: (heardFrom) => {
        listener = heardFrom;
      },
      ended: promise,
      kill: () => {
        one.killed = true;
        resolve({ code: null, signal: 'SIGKILL' });
      },
    };
  };
  const ended: string[] = [];
  const pool = createWorkerPool({
    fork,
    connections: CONNECTIONS,
    ticketKeys: new Uint8Array(48),
    config: testConfig([], { workers }),
    log: createLog({
      level: 'info',
      format: 'json',
      destination: { write: (line) => void lines.push(line) },
    }),
    onCounted: () => {},
    onNews: () => {},
    onEnded: (_worker, how) => void ended.push(how),
    onMismatch: () => {},
    random: () => 0,
    ...change,
  });
  const pauses = (): number[] => lines.flatMap((line) => JSON.parse(line).pauseMs ?? []);
  return { pool, played, lines, ended, pauses };
}

test('one that dies again and again is waited for longer and longer', async () => {
  const { pool, played, pauses } = openPool(1, { timing: { firstPauseMs: 2, maxPauseMs: 10 } });
  const started = pool.start();
  played[0]?.say({ kind: 'serving' });
  await started;
  for (let died = 1; died <= 5; died += 1) {
    played[died - 1]?.end();
    await eventually(() => played.length === died + 1);
  }
  // Without jitter half of its span, which doubles up to the longest.
  assert.deepEqual(pauses(), [1, 2, 4, 5, 5]);
  pool.kill();
});

test('one that can’t start ends the start, in its words, and nobody is left', async () => {
  const { pool, played } = openPool(3);
  const started = pool.start();
  played[1]?.say({ kind: 'failed', reason: 'mismatch', message: 'the keys are others' });
  await assert.rejects(started, { message: 'the keys are others' });
  assert.ok(played.every(({ killed }) => killed));
  assert.equal(played.length, 3);
});

test('one that starts meanwhile gets the newest configuration', async () => {
  const { pool, played } = openPool(1);
  const started = pool.start();
  const config = testConfig([], { workers: 1, title: 'Newer' });
  pool.reload(config);
  played[0]?.say({ kind: 'hello' });
  const start = played[0]?.heard.find(({ kind }) => kind === 'start');
  assert.ok(start?.kind === 'start');
  assert.deepEqual([start.config.title, start.version, start.worker], ['Newer', 2, 1]);
  played[0]?.say({ kind: 'serving' });
  await started;
  pool.kill();
});

test('a renewal whose worker does not come up leaves the old one serving', async () => {
  const { pool, played, lines } = openPool(1);
  const started = pool.start();
  played[0]?.say({ kind: 'serving' });
  await started;
  const renewed = pool.renew();
  await eventually(() => played.length === 2);
  played[1]?.say({ kind: 'failed', reason: 'other', message: 'no memory' });
  played[1]?.end();
  await renewed;
  assert.equal(pool.serving(), 1);
  assert.equal(played.length, 2);
  assert.ok(!played[0]?.heard.some(({ kind }) => kind === 'drain'));
  assert.ok(lines.some((line) => line.includes('the others stay')));
  pool.kill();
});

test('a renewal that comes while a worker is about to be replaced leaves one in its place', async () => {
  const { pool, played, lines } = openPool(1, { timing: { firstPauseMs: 40, maxPauseMs: 40 } });
  const started = pool.start();
  played[0]?.say({ kind: 'serving' });
  await started;
  played[0]?.end();
  await eventually(() => lines.some((line) => line.includes('another takes its place')));
  const renewed = pool.renew();
  await eventually(() => played.length === 2);
  played[1]?.say({ kind: 'serving' });
  await renewed;
  // A timer that was set later, and for longer, rings after the one of the pause.
  await new Promise((resolve) => setTimeout(resolve, 41));
  assert.deepEqual([played.length, pool.serving()], [2, 1]);
  pool.kill();
});

test('a new worker that dies while the one before it finishes is replaced', async () => {
  const { pool, played } = openPool(1, { timing: { firstPauseMs: 2, maxPauseMs: 2 } });
  const started = pool.start();
  played[0]?.say({ kind: 'serving' });
  await started;
  const renewed = pool.renew();
  await eventually(() => played.length === 2);
  played[1]?.say({ kind: 'serving' });
  await eventually(() => played[0]?.heard.some(({ kind }) => kind === 'drain') ?? false);
  played[1]?.end();
  await eventually(() => played.length === 3);
  played[2]?.say({ kind: 'serving' });
  assert.equal(pool.serving(), 1);
  played[0]?.end({ code: 0 });
  await renewed;
  pool.kill();
});

test('one that does not answer holds up neither the counts nor the end', async () => {
  const { pool, played, ended } = openPool(2, {
    timing: { countTimeoutMs: 10, endGraceMs: 10, lookEveryMs: 5 },
    config: testConfig([], { workers: 2, drainTimeoutMs: 100 }),
  });
  const started = pool.start();
  for (const one of played) one.say({ kind: 'serving' });
  await started;
  const counting = pool.count();
  played[0]?.say({ kind: 'counted', scrape: '' });
  await counting;
  const stopped = pool.stop();
  assert.ok(played[0]?.heard.some(({ kind }) => kind === 'drain'));
  played[0]?.end({ code: 0 });
  await stopped;
  assert.deepEqual([played[0]?.killed, played[1]?.killed], [false, true]);
  assert.deepEqual(ended, ['drained', 'drained']);
  assert.equal(played.length, 2);
});

/** A clock that a test moves, second by second, for a process that runs all the time; or that jumps, for one that stood still. */
function openClock(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let ms = 0;
  const pass = (seconds: number): void => {
    ms += seconds * 1_000;
    t.mock.timers.tick(1_000);
  };
  const run = (seconds: number, each = (): void => {}): void => {
    for (let second = 0; second < seconds; second += 1) {
      pass(1);
      each();
    }
  };
  return { nowMs: () => ms, run, standStill: pass };
}

/** Two that serve, on such a clock. */
async function openServing(t: TestContext, change: Partial<PoolOptions> = {}) {
  const clock = openClock(t);
  const opened = openPool(2, {
    nowMs: clock.nowMs,
    timing: { firstPauseMs: 2, maxPauseMs: 2 },
    ...change,
  });
  t.after(() => opened.pool.kill());
  const started = opened.pool.start();
  for (const one of opened.played) one.say({ kind: 'serving' });
  await started;
  const [first, second] = opened.played;
  assert.ok(first && second);
  return { ...opened, ...clock, first, second };
}

const REPORT = { kind: 'counted', scrape: '' } as const;

test('one of which nothing is heard for 30 seconds is killed and replaced, and the other is not', async (t) => {
  const { played, lines, ended, run, first, second } = await openServing(t);
  run(29, () => second.say(REPORT));
  assert.equal(first.killed, false);
  assert.ok(lines.some((line) => line.includes('nothing is heard of a worker')));
  run(1, () => second.say(REPORT));
  assert.equal(first.killed, true);
  await eventually(() => played.length === 3);
  assert.deepEqual(ended, ['hung']);
  const said = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error');
  assert.deepEqual(
    said.map(({ msg, worker, silentMs, signal }) => [msg, worker, silentMs ?? signal]),
    [
      ['a worker hangs and is killed: its connections break', 1, 30_000],
      ['a worker that hung is gone; another takes its place', 1, 'SIGKILL'],
    ],
  );
  run(60, () => second.say(REPORT));
  assert.equal(second.killed, false);
});

test('whatever one says is a sign of life', async (t) => {
  const { run, first, second } = await openServing(t);
  const signs = [{ kind: 'took', connection: 1 }, REPORT, { kind: 'hello' }] as const;
  for (const sign of signs) {
    run(20);
    first.say(sign);
    second.say(sign);
  }
  run(29);
  assert.deepEqual([first.killed, second.killed], [false, false]);
});

test('a primary that stood still for hours kills nobody', async (t) => {
  const { lines, run, standStill, first, second } = await openServing(t);
  run(10);
  for (let times = 0; times < 5; times += 1) {
    standStill(3 * 3_600);
    // What it finds when it reads again.
    first.say(REPORT);
    second.say(REPORT);
  }
  assert.deepEqual([first.killed, second.killed, lines], [false, false, []]);
});

test('one that starts is not expected to say anything before its time to start is over', async (t) => {
  const { nowMs, run, standStill } = openClock(t);
  const { pool, played, ended } = openPool(1, { nowMs });
  const started = pool.start();
  run(50);
  standStill(3_600);
  run(8);
  assert.equal(played[0]?.killed, false);
  run(1);
  assert.equal(played[0]?.killed, true);
  await assert.rejects(started, { message: 'Worker 1 ended before it served (SIGKILL).' });
  assert.deepEqual(ended, ['died']);
});

test('one that hangs while it drains is not waited for as long as it may drain', async (t) => {
  const { pool, run, ended, first, second } = await openServing(t, {
    config: testConfig([], { workers: 2, drainTimeoutMs: 3_600_000 }),
  });
  const stopped = pool.stop();
  run(30, () => second.say(REPORT));
  assert.deepEqual([first.killed, second.killed], [true, false]);
  run(600, () => second.say(REPORT));
  assert.equal(second.killed, false);
  second.end({ code: 0 });
  await stopped;
  assert.deepEqual(ended.sort(), ['drained', 'hung']);
});
