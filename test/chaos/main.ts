import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatReport } from './report.ts';
import { runChaos } from './run.ts';
import { STORES } from './store-under-fault.ts';

/*
 * `npm run test:chaos`: gateways on one Redis (or SQLite file) and one node, killed and frozen while a thousand clients buy, stream and
 * cheat. In the end everybody's books must agree to the millisatoshi.
 */

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string' },
    gateways: { type: 'string', default: '4' },
    workers: { type: 'string', default: '1' },
    store: { type: 'string', default: 'redis' },
    'at-once': { type: 'string', default: '48' },
    keep: { type: 'boolean', default: false },
  },
});

/** What is done after the last fault takes at most this, ms; then the run has failed. */
const WIND_UP_MS = 600_000;

const seconds = whole('seconds', values.seconds, 10, 86_400);
const options = {
  seconds,
  seed: whole('seed', values.seed, 0, 2 ** 32 - 1),
  clients: whole('clients', values.clients ?? String(Math.ceil((seconds * 1000) / 300)), 1, 1_000_000),
  gateways: whole('gateways', values.gateways, 1, 16),
  workers: whole('workers', values.workers, 1, 16),
  atOnce: whole('at-once', values['at-once'], 1, 1_000),
  store: oneOf('store', values.store, STORES),
};

console.log(
  `chaos: seed ${options.seed}, ${seconds} s, ${options.clients} clients, ${options.gateways} gateways of ${options.workers} workers, store ${options.store}`,
);
console.log(
  `repeat it: npm run test:chaos -- --seed ${options.seed} --seconds ${seconds} --clients ${options.clients} ` +
    `--gateways ${options.gateways} --workers ${options.workers} --store ${options.store}`,
);

const folder = await mkdtemp(path.join(tmpdir(), 'sluice-chaos-'));
const guard = setTimeout(
  () => {
    console.error(`chaos: the run did not come to its end; its logs are in ${folder}`);
    console.log('ℹ pass 0\nℹ fail 1');
    process.exit(1);
  },
  seconds * 1000 + WIND_UP_MS,
);

let failed = true;
try {
  const report = await runChaos({ ...options, folder, say: (line) => console.log(line) });
  console.log(formatReport(report));
  failed = report.checks.some(({ faults }) => faults.length > 0);
} catch (error) {
  console.error('chaos: the run broke off:', error);
  console.log('ℹ pass 0\nℹ fail 1');
}
clearTimeout(guard);
if (failed || values.keep) console.log(`logs, configuration and ledger: ${folder}`);
else await rm(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value;
  console.error(`--${name} is a whole number from ${least} to ${most}`);
  process.exit(2);
}

function oneOf<T extends string>(name: string, text: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  console.error(`--${name} is one of ${known.join(', ')}`);
  process.exit(2);
}
