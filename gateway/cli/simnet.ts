import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { UsageError } from '../../client/cli/exit-codes.ts';
import type { Io } from '../../client/cli/io.ts';
import { openNode } from '../../node/index.ts';
import { isLoopbackHost } from '../../node/loopback.ts';

const DEFAULT_PORT = 8404;

/** `sluice simnet`: the simulated Lightning network alone, so that several gateways and any LND client can share it. */
export function registerSimnet(program: Command, io: Io): void {
  program
    .command('simnet')
    .description('serve the simulated Lightning network (play money) over LND REST, until Ctrl-C')
    .option('--data <dir>', 'folder in which wallets and payments are kept', './.sluice')
    .option('--port <number>', 'port of the REST surface', readPort, DEFAULT_PORT)
    .option('--host <address>', 'address that it listens on', '127.0.0.1')
    .option('--allow-play-money', 'serve it on an address that other machines can reach', false)
    .option('--latency <ms>', 'how long each payment takes, ms', readWhole, 0)
    .option('--failure-rate <share>', 'share of payments that fail with "no route", 0 to 1', readShare, 0)
    .action((options: SimnetFlags) => serve(options, io));
}

interface SimnetFlags {
  readonly data: string;
  readonly port: number;
  readonly host: string;
  readonly allowPlayMoney: boolean;
  readonly latency: number;
  readonly failureRate: number;
}

/** The macaroon of the gateways' wallet, for a `sluice.yaml` that reads it from there. */
const GATEWAY_MACAROON_FILE = 'gateway.macaroon';

async function serve(flags: SimnetFlags, io: Io): Promise<void> {
  const elsewhere = !isLoopbackHost(flags.host);
  if (elsewhere && !flags.allowPlayMoney) {
    throw new UsageError(
      `${flags.host} can be reached from other machines. The network is play money, without TLS: add --allow-play-money if that is meant.`,
    );
  }
  const dataDir = path.resolve(io.cwd, flags.data);
  const opened = await openNode(
    {
      type: 'simulated',
      port: flags.port,
      portChosen: true,
      latencyMs: flags.latency,
      failureRate: flags.failureRate,
    },
    { dataDir, nowMs: Date.now, ...(elsewhere ? { surfaceHost: flags.host } : {}) },
  );
  const macaroon = opened.simnet?.wallet('gateway').macaroon ?? '';
  const macaroonFile = path.join(dataDir, GATEWAY_MACAROON_FILE);
  await writeFile(macaroonFile, `${macaroon}\n`, { mode: 0o600 });
  io.stdout.write(
    [
      `Simulated Lightning network, PLAY MONEY, speaks LND's REST at ${opened.surfaceUrl}`,
      `Wallets and their macaroons: ${path.join(dataDir, 'simnet.json')}`,
      '',
      'A gateway on it, in its sluice.yaml:',
      `  node: { type: simulated, url: ${opened.surfaceUrl}, macaroon: ${macaroon} }`,
      `(the macaroon alone is in ${macaroonFile}: macaroon: \${file:${macaroonFile}})`,
      'A wallet on it:',
      `  npx sluice pay INVOICE --data ${flags.data}`,
      '',
    ].join('\n'),
  );
  await new Promise<void>((resolve) => {
    io.onInterrupt(resolve);
    process.once('SIGTERM', resolve);
  });
  await opened.close();
}

function readPort(value: string): number {
  const port = Number(value);
  if (/^\d{1,5}$/.test(value) && port <= 65_535) return port;
  throw new InvalidArgumentError('A port is a number from 0 to 65535.');
}

function readWhole(value: string): number {
  if (/^\d{1,6}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('Write a whole number of milliseconds.');
}

function readShare(value: string): number {
  const share = Number(value);
  if (value.trim() !== '' && share >= 0 && share <= 1) return share;
  throw new InvalidArgumentError('Write a number from 0 to 1.');
}
