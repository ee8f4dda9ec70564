import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { bareHost } from '../node/bare-host.ts';
import { parseLndConnect } from '../node/lndconnect.ts';
import { NodeError } from '../node/node.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { ConfigFileInput } from './schema.ts';

/** Flags of `sluice start` and `npm start`. They win over the file. */
export interface Flags {
  /** Configuration file. */
  readonly config?: string;
  /** Sell this API without a file … */
  readonly upstream?: string;
  /** … at this price. */
  readonly price?: string;
  /** Of a metered price: what is sold at once, … */
  readonly deposit?: string;
  /** … how long an exhausted stream waits, … */
  readonly hold?: string;
  /** … and when its client is warned. */
  readonly warn?: string;
  readonly data?: string;
  readonly port?: number;
  readonly adminPort?: number;
  readonly simnetPort?: number;
  readonly host?: string;
  readonly node?: NonNullable<ConfigFileInput['node']>;
  readonly store?: NonNullable<ConfigFileInput['store']>;
  readonly workers?: NonNullable<ConfigFileInput['workers']>;
}

/** Flags that can't be used, or that only asked for help. */
export class FlagsError extends Error {
  /** 0 when help was asked for: then the message is the help. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.name = 'FlagsError';
    this.exitCode = exitCode;
  }
}

/**
 * Reads the flags of the gateway.
 * @param argv - the arguments alone, without the program's name
 * @throws FlagsError
 */
export function parseFlags(argv: readonly string[]): Flags {
  const output: string[] = [];
  const command = addFlags(new Command('sluice start'))
    .description('Start the gateway. Without a file and without --upstream it sells a demo.')
    .exitOverride()
    .configureOutput({ writeOut: (line) => output.push(line), writeErr: (line) => output.push(line) })
    .allowExcessArguments(false);
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new FlagsError(output.join('').trim() || error.message, error.exitCode);
  }
  return readFlags(command.opts());
}

/** Adds the gateway's flags to a command; {@link readFlags} reads them from its options. */
export function addFlags(command: Command): Command {
  return command
    .addOption(
      new Option('-c, --config <file>', 'configuration file (default: ./sluice.yaml, when it is there)'),
    )
    .addOption(new Option('--upstream <url>', 'sell this API, without a file').conflicts('config'))
    .addOption(
      new Option('--price <price>', 'its price, such as "10 sat" or "100 msat/second"').conflicts('config'),
    )
    .addOption(
      new Option(
        '--deposit <deposit>',
        'of a metered price: what is sold at once, such as "100 sat" or 60s',
      ).conflicts('config'),
    )
    .addOption(
      new Option('--hold <time>', 'how long a stream without credit waits (default: 45s)').conflicts(
        'config',
      ),
    )
    .addOption(
      new Option('--warn <time>', 'warn the client when its credit lasts for less (default: 10s)').conflicts(
        'config',
      ),
    )
    .addOption(new Option('--data <dir>', 'folder for keys, ledger and tokens (default: ./.sluice)'))
    .addOption(new Option('--host <address>', 'address to listen on').argParser(parseHost))
    .addOption(new Option('--port <number>', 'port to listen on (default: 8402)').argParser(parsePort))
    .addOption(
      new Option('--admin-port <number>', 'port of the admin listener (default: 8403)').argParser(parsePort),
    )
    .addOption(
      new Option('--simnet-port <number>', 'port of the simulated Lightning node').argParser(parsePort),
    )
    .addOption(
      new Option(
        '--node <uri>',
        'simulated, simulated://HOST:PORT?macaroon=HEX, lnd://HOST:PORT?macaroon-file=F&tls-cert-file=F&grpc=HOST:PORT, or lndconnect://…',
      ).argParser(parseNode),
    )
    .addOption(
      new Option(
        '--store <store>',
        'sqlite, sqlite:FILE, redis://HOST:PORT (rediss:// for TLS) or memory',
      ).argParser(parseStore),
    )
    .addOption(
      new Option(
        '--workers <number>',
        'processes that serve clients, or auto for one a core (default: 1)',
      ).argParser(parseWorkers),
    );
}

/** The flags in the options of a command that {@link addFlags} prepared. @throws FlagsError */
export function readFlags(options: Readonly<Record<string, unknown>>): Flags {
  const flags: Flags = options;
  if ((flags.upstream === undefined) !== (flags.price === undefined)) {
    throw new FlagsError(
      'error: --upstream and --price go together: --upstream http://127.0.0.1:3000 --price "10 sat"',
      1,
    );
  }
  const alone = ['deposit', 'hold', 'warn'].find((name) => Reflect.get(flags, name) !== undefined);
  if (flags.upstream === undefined && alone !== undefined) {
    throw new FlagsError(
      `error: --${alone} goes with --upstream and --price: --upstream http://127.0.0.1:3000 --price "100 msat/second" --deposit 60s`,
      1,
    );
  }
  return flags;
}

function parsePort(value: string): number {
  const port = Number(value);
  if (/^\d{1,5}$/.test(value) && port <= 65_535) return port;
  throw new InvalidArgumentError('A port is a number from 0 to 65535.');
}

function parseHost(value: string): string {
  const bare = bareHost(value).toLowerCase();
  if (/^[a-z0-9.:-]{1,253}$/.test(bare)) return bare;
  throw new InvalidArgumentError('An address is an IP address or a host name, without a port.');
}

/** A store as `--store` names it. @throws FlagsError, InvalidArgumentError */
export function parseStore(value: string): NonNullable<ConfigFileInput['store']> {
  if (value === 'memory') return { type: 'memory' };
  if (value === 'sqlite') return { type: 'sqlite' };
  if (value.startsWith('sqlite:') && value.length > 'sqlite:'.length) {
    return { type: 'sqlite', file: value.slice('sqlite:'.length) };
  }
  if (/^rediss?:/.test(value)) return readRedisUrl(value);
  throw new InvalidArgumentError('A store is sqlite, sqlite:FILE, redis://HOST:PORT or memory.');
}

/** Checked here, so that what is wrong is said of the flag. Commander's own error would repeat the URL, and with it a password. */
function readRedisUrl(url: string): NonNullable<ConfigFileInput['store']> {
  const read = parseRedisUrl(url);
  if ('problem' in read) throw new FlagsError(`error: --store: it ${read.problem}; ${read.remedy}`, 1);
  return { type: 'redis', url };
}

function parseWorkers(value: string): NonNullable<ConfigFileInput['workers']> {
  if (value === 'auto') return value;
  if (/^[1-9]\d{0,2}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('Workers are a number, or auto.');
}

const NODE_FORMS =
  'A node is simulated, simulated://HOST:PORT?macaroon=HEX, lnd://HOST:PORT?macaroon-file=FILE&tls-cert-file=FILE&grpc=HOST:PORT, or lndconnect://….';

function parseNode(value: string): NonNullable<ConfigFileInput['node']> {
  if (value === 'simulated') return { type: 'simulated' };
  if (value.startsWith('lndconnect:')) return readLndConnect(value);
  const parts = /^(simulated|lnd):\/\/([^/?#@]{1,300})\/?(?:\?([^#]*))?$/.exec(value);
  if (parts === null) throw refusedNode(NODE_FORMS);
  const [, type, authority, query] = parts;
  const settings = new URLSearchParams(query);
  const take = (name: string): string | undefined => {
    const taken = settings.get(name) ?? undefined;
    settings.delete(name);
    return taken;
  };
  const macaroon = take('macaroon');
  const common = macaroon === undefined ? {} : { macaroon };
  if (type === 'simulated') {
    refuseOthers(settings);
    return { type, url: `http://${authority}`, ...common };
  }
  const macaroonFile = take('macaroon-file');
  const tlsCertFile = take('tls-cert-file');
  const grpc = take('grpc');
  const scheme = take('plain') === 'true' ? 'http' : 'https';
  refuseOthers(settings);
  return {
    type: 'lnd',
    url: `${scheme}://${authority}`,
    ...(grpc !== undefined && { grpcUrl: `https://${grpc}` }),
    ...common,
    ...(macaroonFile !== undefined && { macaroonFile }),
    ...(tlsCertFile !== undefined && { tlsCertFile }),
  };
}

/** Checked here, so that a URI which was cut off is said of the flag; the configuration reads it again. */
function readLndConnect(uri: string): string {
  try {
    parseLndConnect(uri);
    return uri;
  } catch (error) {
    throw refusedNode(error instanceof NodeError ? error.message : 'The lndconnect URI is damaged.');
  }
}

function refuseOthers(settings: URLSearchParams): void {
  if (settings.size > 0) throw refusedNode(`${NODE_FORMS} Unknown: ${[...settings.keys()].join(', ')}.`);
}

/** Commander's own error would repeat the value, and with it a macaroon. */
function refusedNode(reason: string): FlagsError {
  return new FlagsError(`error: --node: ${reason}`, 1);
}
