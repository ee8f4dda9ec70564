import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import type { RedisStoreConfig } from '../../config/config.ts';
import { endWithUs } from './end-with-us.ts';
import { findRedisServer, HOW_TO_GET_REDIS } from './redis-program.ts';

/** How a server of a test differs from an empty one in memory. */
export interface RedisServerOptions {
  /** Lines of redis.conf. Later ones win. */
  readonly lines?: readonly string[];
  /** Serve TLS alone, with this certificate (PEM), which is its own authority. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** How the test itself logs in. */
  readonly login?: { readonly username?: string; readonly password: string };
  /** Run it as a sentinel. */
  readonly isSentinel?: true;
}

/** A real Redis (or Valkey) on a port of its own. */
export interface RedisServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Where its data, log and certificate are. */
  readonly folder: string;
  readonly running: boolean;
  /** It hangs, see {@link RedisServer.pause}. */
  readonly paused: boolean;
  /** Sends one command over a connection of its own. */
  call(...command: string[]): Promise<unknown>;
  /** Ends it as a power cut does, without any warning. */
  kill(): Promise<void>;
  /** Starts it again on the same port with what is on its disk. */
  start(): Promise<void>;
  /** Deletes what is on its disk; for a server that was killed. */
  wipe(): Promise<void>;
  /** It hangs: its connections stay open, and nothing is answered. */
  pause(): void;
  resume(): void;
  /** Ends it and deletes its folder. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 30_000;
const TRIES = 5;

/** Starts a server on a free port. @throws Error that says how to get Redis when it is missing */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const program = findRedisServer();
  if (program === undefined) throw new Error(HOW_TO_GET_REDIS);
  for (let tries = 1; ; tries += 1) {
    const server = await makeServer(program, options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      // Another program took the port between our look and its start.
      const clash = error instanceof Error && /in use|bind/i.test(error.message);
      if (!clash || tries === TRIES) throw error;
    }
  }
}

async function makeServer(program: string, options: RedisServerOptions): Promise<RedisServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sluice-redis-'));
  const [port, busPort] = await freePorts(2);
  if (port === undefined || busPort === undefined) throw new Error('no free port');
  await writeSettings(folder, port, busPort, options);
  const connection = connectionOf(port, options);
  let child: ReturnType<typeof spawn> | undefined;
  let ended: Promise<void> = Promise.resolve();
  let paused = false;

  const server: RedisServer = {
    host: '127.0.0.1',
    port,
    folder,
    get running() {
      return child !== undefined && child.exitCode === null && child.signalCode === null;
    },
    get paused() {
      return paused;
    },
    call: (...command) => callOnce(connection, command),
    async start() {
      const log = openSync(path.join(folder, 'log'), 'a');
      const role = options.isSentinel ? ['--sentinel'] : [];
      paused = false;
      child = spawn(program, ['redis.conf', ...role], { cwd: folder, stdio: ['ignore', log, log] });
      closeSync(log);
      ended = endWithUs(child);
      await untilAnswers(server, connection);
    },
    async kill() {
      child?.kill('SIGKILL');
      await ended;
    },
    async wipe() {
      await rm(path.join(folder, 'data'), { recursive: true, force: true });
      await mkdir(path.join(folder, 'data'));
    },
    pause() {
      paused = child?.kill('SIGSTOP') ?? false;
    },
    resume() {
      child?.kill('SIGCONT');
      paused = false;
    },
    async stop() {
      await server.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return server;
}

async function writeSettings(
  folder: string,
  port: number,
  busPort: number,
  { tls, lines = [] }: RedisServerOptions,
): Promise<void> {
  await mkdir(path.join(folder, 'data'));
  if (tls !== undefined) {
    await writeFile(path.join(folder, 'tls.crt'), tls.cert);
    await writeFile(path.join(folder, 'tls.key'), tls.key, { mode: 0o600 });
  }
  const listening =
    tls === undefined
      ? [`port ${port}`]
      : [
          'port 0',
          `tls-port ${port}`,
          'tls-cert-file tls.crt',
          'tls-key-file tls.key',
          'tls-ca-cert-file tls.crt',
          'tls-auth-clients no',
        ];
  // redis-server goes into `dir` when it reads that line: it stands last, because other lines name files beside redis.conf.
  const settings = [
    'bind 127.0.0.1',
    ...listening,
    'daemonize no',
    'save ""',
    ...lines.map((line) => line.replaceAll('BUS_PORT', String(busPort))),
    `dir ${path.join(folder, 'data')}`,
  ];
  await writeFile(
    path.join(folder, 'redis.conf'),
    `${settings.map((line) => absolute(line, folder)).join('\n')}\n`,
  );
}

function absolute(line: string, folder: string): string {
  return line.replace(/^(tls-\S+-file) (tls\.\w+)$/, (_, name, file) => `${name} ${path.join(folder, file)}`);
}

function connectionOf(port: number, { tls, login }: RedisServerOptions): RedisOptions {
  return {
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: PATIENCE_MS,
    ...login,
    ...(tls !== undefined && { tls: { ca: tls.cert } }),
  };
}

async function callOnce(connection: RedisOptions, [name = '', ...args]: readonly string[]): Promise<unknown> {
  const client = new Redis({ ...connection, enableReadyCheck: false, replyMapping: 'legacy' });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

async function untilAnswers(server: RedisServer, connection: RedisOptions): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const failure = await callOnce(connection, ['PING']).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) return;
    if (!server.running || performance.now() > deadlineMs) {
      const log = await readFile(path.join(server.folder, 'log'), 'utf8').catch(() => '');
      const reason = failure instanceof Error ? failure.message : '';
      throw new Error(`redis-server does not answer: ${reason}\n${log.slice(-1_500)}`);
    }
    await wait(20);
  }
}

/** So many ports of this machine that nobody listens on. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}

/** A redis store as the configuration would say it; short timeouts are up to the test. */
export function redisStoreConfig(
  reach: RedisStoreConfig['reach'],
  change: Partial<RedisStoreConfig> = {},
): RedisStoreConfig {
  return {
    type: 'redis',
    reach,
    database: 0,
    keyPrefix: 'sluice:',
    connectTimeoutMs: 5_000,
    commandTimeoutMs: 5_000,
    strict: false,
    passGraceMs: 300_000,
    ...change,
  };
}

/** The configuration of a store on one test server. */
export function storeOn(server: RedisServer, change: Partial<RedisStoreConfig> = {}): RedisStoreConfig {
  return redisStoreConfig({ kind: 'single', server: { host: server.host, port: server.port } }, change);
}
