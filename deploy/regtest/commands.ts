import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { findBinaries } from './binaries.ts';
import { findControl, serveControl } from './control.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { noteProcess } from './left-process.ts';
import { type RegtestNetwork, startNetwork, stopLeftNetwork } from './network.ts';
import { openFolder } from './state.ts';

/** What a command needs of its process. */
export interface CommandDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly dir: string;
  readonly say: (line: string) => void;
  /** Aborts at Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** What `start` starts beside the network. */
export interface StartOptions {
  /** Start a gateway on the merchant's node. */
  readonly gateway: 'yes' | 'no';
  /** Handed to `sluice start`, such as `--upstream` and `--price`. */
  readonly gatewayArgs: readonly string[];
}

/** Nothing runs where something must, or the reverse. */
export class RegtestError extends Error {}

const GATEWAY = path.join(import.meta.dirname, '..', '..', 'gateway', 'main.ts');

/** Builds the programs when they are missing, and starts nothing. */
export async function buildCommand({ env, say }: CommandDeps): Promise<void> {
  const binaries = await findBinaries({ env, say });
  say(`lnd and btcd ${binaries.origin}.`);
}

/** Runs network and gateway until Ctrl-C, `stop`, or the end of one of its programs. */
export async function startCommand(deps: CommandDeps, options: StartOptions): Promise<void> {
  const { dir, env, say, interrupted } = deps;
  if ((await findControl(dir)) !== undefined) {
    throw new RegtestError(`A network runs in ${dir} already: see it with "status", end it with "stop".`);
  }
  const binaries = await findBinaries({ env, say });
  say(`lnd and btcd ${binaries.origin}.`);
  interrupted.addEventListener('abort', () => say('Stopping …'), { once: true });
  const network = await startNetwork({ dir, binaries, say, signal: interrupted }).catch((error: unknown) => {
    if (!interrupted.aborted) throw error;
  });
  if (network === undefined) return say(sayStopped(dir));
  const closers: (() => Promise<void> | void)[] = [() => network.stop()];
  try {
    const asked = Promise.withResolvers<void>();
    interrupted.addEventListener('abort', () => asked.resolve(), { once: true });
    if (interrupted.aborted) return;
    const macaroonFile = await bakeMacaroon(network);
    const gateway =
      options.gateway === 'yes' ? await startGateway(network, macaroonFile, options.gatewayArgs) : undefined;
    if (gateway !== undefined) {
      noteProcess(network.folder, 'gateway', gateway);
      closers.push(() => gateway.stop());
    }
    const control = await serveControl(dir, {
      status: () => describe(network, macaroonFile, gateway),
      mine: async (blocks) => {
        await network.mine(blocks);
        return { blockHeight: await network.blockHeight() };
      },
      stop: async () => {
        if (!interrupted.aborted) say('Stopping …');
        asked.resolve();
        return { stopping: true };
      },
    });
    // Last of all: who asked us to stop learns by it that all has ended.
    closers.unshift(() => control.close());
    say(explain(network, macaroonFile, gateway !== undefined));
    const ended = await Promise.race([asked.promise, ...watch(network, gateway)]);
    if (typeof ended === 'string') {
      say('Stopping …');
      throw new RegtestError(`${ended} has ended by itself; its log is in ${dir}/log.`);
    }
  } finally {
    for (const close of closers.reverse()) await close();
    say(sayStopped(dir));
  }
}

function sayStopped(dir: string): string {
  return `Stopped. The network stays in ${dir}: "start" goes on with it, "reset" deletes it.`;
}

/** Says what runs. */
export async function statusCommand({ dir, say }: CommandDeps): Promise<void> {
  const control = await findControl(dir);
  say(
    control === undefined
      ? `No network runs in ${dir}.`
      : JSON.stringify(await control.ask('status'), null, 2),
  );
}

/** Mines blocks on the network that runs. */
export async function mineCommand({ dir, say }: CommandDeps, blocks: number): Promise<void> {
  const control = await findControl(dir);
  if (control === undefined) throw new RegtestError(`No network runs in ${dir}: "start" starts one.`);
  say(JSON.stringify(await control.ask('mine', blocks)));
}

/** Ends the network that runs, from another terminal. */
export async function stopCommand({ dir, say }: CommandDeps): Promise<void> {
  const control = await findControl(dir);
  if (control === undefined) {
    await stopLeftNetwork(openFolder(dir));
    return say(`No network runs in ${dir}.`);
  }
  await control.ask('stop');
  while ((await findControl(dir)) !== undefined) await new Promise((resolve) => setTimeout(resolve, 100));
  say('Stopped.');
}

/** Deletes a network that does not run: the next one begins at block 0. */
export async function resetCommand({ dir, say }: CommandDeps): Promise<void> {
  if ((await findControl(dir)) !== undefined)
    throw new RegtestError('The network runs: end it with "stop" first.');
  const folder = openFolder(dir);
  await stopLeftNetwork(folder);
  const { root, of } = folder;
  // Ours only: the folder was named by a person, and may hold other things.
  const ours = [of('btcd'), of('merchant'), of('customer'), of('gateway'), path.join(root, 'log')];
  for (const name of [...ours, path.join(root, 'network.json'), path.join(root, 'control.json')]) {
    rmSync(name, { recursive: true, force: true });
  }
  say(`Deleted the network in ${dir}.`);
}

/** A program that ends by itself ends the rest: half a network only confuses. */
function watch(network: RegtestNetwork, gateway: Daemon | undefined): Promise<string>[] {
  return [network.merchant.daemon, network.customer.daemon, gateway]
    .filter((daemon) => daemon !== undefined)
    .map(async (daemon) => {
      await daemon.ended;
      return daemon.name;
    });
}

const bakedSchema = z.object({ macaroon: z.string() });

/** What selling needs and no more, as `lncli bakemacaroon info:read invoices:read invoices:write offchain:read` makes it. */
async function bakeMacaroon({ merchant, folder }: RegtestNetwork): Promise<string> {
  const permissions = [
    { entity: 'info', action: 'read' },
    { entity: 'invoices', action: 'read' },
    { entity: 'invoices', action: 'write' },
    { entity: 'offchain', action: 'read' },
  ];
  const { macaroon } = bakedSchema.parse(await merchant.ask('POST', '/v1/macaroon', { permissions }));
  const file = path.join(folder.of('merchant'), 'sluice.macaroon');
  writeFileSync(file, Buffer.from(macaroon, 'hex'), { mode: 0o600 });
  return file;
}

/** In a folder of its own, so that no `sluice.yaml` and no ledger of real money come into play. */
function startGateway(
  network: RegtestNetwork,
  macaroonFile: string,
  extra: readonly string[],
): Promise<Daemon> {
  const { folder, merchant, state } = network;
  const cwd = folder.of('gateway');
  const node = new URLSearchParams({
    'macaroon-file': macaroonFile,
    'tls-cert-file': merchant.tlsCertFile,
  });
  const { port, adminPort } = state.gateway;
  return startDaemon({
    name: 'the gateway',
    command: process.execPath,
    args: [
      ...['--disable-warning=ExperimentalWarning', GATEWAY],
      ...['--data', cwd, '--port', String(port), '--admin-port', String(adminPort)],
      ...['--node', `${merchant.url.replace('https:', 'lnd:')}?${node}`],
      ...extra,
    ],
    cwd,
    logFile: 'inherit',
  });
}

async function describe(
  network: RegtestNetwork,
  macaroonFile: string,
  gateway: Daemon | undefined,
): Promise<object> {
  const { merchant, customer, state } = network;
  return {
    gateway: gateway === undefined ? 'none' : `http://127.0.0.1:${state.gateway.port}`,
    merchant: {
      url: merchant.url,
      grpcUrl: merchant.grpcUrl,
      tlsCertFile: merchant.tlsCertFile,
      macaroonFile,
    },
    customer: {
      url: customer.url,
      tlsCertFile: customer.tlsCertFile,
      macaroonFile: customer.macaroonFile('admin'),
    },
    channel: await network.balances(),
    blockHeight: await network.blockHeight(),
  };
}

function explain(network: RegtestNetwork, macaroonFile: string, gateway: boolean): string {
  const { merchant, customer, state, folder } = network;
  const wallet = [
    `export SLUICE_LND_URL=${customer.url}`,
    `export SLUICE_LND_MACAROON=${shellWord(customer.macaroonFile('admin'))}`,
    `export SLUICE_LND_CERT=${shellWord(customer.tlsCertFile)}`,
  ];
  const pay = `npx sluice fetch http://127.0.0.1:${state.gateway.port}/quote --wallet lnd`;
  const nodeLine =
    `node: { type: lnd, url: ${merchant.url}, grpcUrl: ${merchant.grpcUrl}, ` +
    `tlsCertFile: ${merchant.tlsCertFile}, macaroonFile: ${macaroonFile} }`;
  return [
    '',
    'A private Lightning network is up: two LND nodes and a channel with money on both sides. Play money, real invoices.',
    '',
    `Pay from the second node${gateway ? '' : ' (when a gateway runs on the first)'}, in another terminal:`,
    ...[...wallet, pay].map((line) => `  ${line}`),
    '',
    'The line for a configuration of your own:',
    `  ${nodeLine}`,
    '',
    `Logs: ${path.join(folder.root, 'log')}. Press Ctrl-C to stop.`,
    '',
  ].join('\n');
}

/** As a shell reads it back: folders may have spaces. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
