import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { createNodeHttp, type NodeHttp } from '../../node/http.ts';
import { btcdCertificate } from './btcd.ts';
import { type Daemon, lastLines, startDaemon } from './daemon.ts';
import { noteProcess } from './left-process.ts';
import type { RegtestFolder, RegtestState } from './state.ts';
import { waitFor } from './wait-for.ts';

/** The two nodes: one sells, one pays. */
export type LndRole = 'merchant' | 'customer';

/** A real LND node. */
export interface LndNode {
  readonly role: LndRole;
  /** REST address. */
  readonly url: string;
  readonly grpcUrl: string;
  readonly tlsCertFile: string;
  /** The macaroon files that LND makes: `admin`, `invoice`, `readonly` … */
  macaroonFile(name: string): string;
  /** `undefined` while it is stopped. */
  readonly daemon: Daemon | undefined;
  /** Starts it, and waits until it answers; it may still have to follow the chain. @param signal - ends the wait */
  start(signal?: AbortSignal): Promise<void>;
  /** Lets it end as it wants. */
  stop(): Promise<void>;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** One request with the admin macaroon. @throws Error with what LND said */
  ask(method: 'GET' | 'POST', target: string, body?: unknown): Promise<unknown>;
}

const START_LIMIT_MS = 180_000;
/** Opening a channel waits for the wallet and for signatures. */
const ASK_TIMEOUT_MS = 60_000;

/** On a chain without blocks LND waits as `RPC_ACTIVE`, and already gives the address that blocks can be mined to. */
const ANSWERS = /^(RPC|SERVER)_ACTIVE$/;

const errorSchema = z.object({ message: z.string() });
const walletState = z.object({ state: z.string() });

/** A node of the network that is not started yet. */
export function lndNode(role: LndRole, command: string, folder: RegtestFolder, state: RegtestState): LndNode {
  const dir = folder.of(role);
  const url = `https://127.0.0.1:${state[role].rest}`;
  const grpcUrl = `https://127.0.0.1:${state[role].rpc}`;
  const tlsCertFile = path.join(dir, 'tls.cert');
  const macaroonFile = (name: string): string =>
    path.join(dir, 'data', 'chain', 'bitcoin', 'regtest', `${name}.macaroon`);
  let daemon: Daemon | undefined;
  let http: NodeHttp | undefined;
  const end = async (how: (daemon: Daemon) => Promise<void>): Promise<void> => {
    const [ending, open] = [daemon, http];
    [daemon, http] = [undefined, undefined];
    await open?.close();
    if (ending !== undefined) await how(ending);
  };
  return {
    role,
    url,
    grpcUrl,
    tlsCertFile,
    macaroonFile,
    get daemon() {
      return daemon;
    },
    async start(signal) {
      writeFileSync(path.join(dir, 'lnd.conf'), lndConfig(role, folder, state), { mode: 0o600 });
      const logFile = folder.logOf(role);
      daemon = await startDaemon({
        name: `lnd (${role})`,
        command,
        args: [`--lnddir=${dir}`],
        cwd: dir,
        logFile,
      });
      noteProcess(folder, role, daemon);
      const started = daemon;
      http = await waitFor(
        `The start of lnd (${role})`,
        async () => {
          if (!started.running) throw new Error(`it has ended:\n${lastLines(logFile, 5)}`);
          return await connect(url, tlsCertFile, macaroonFile('admin'));
        },
        { limitMs: START_LIMIT_MS, signal },
      );
    },
    stop: () => end((ending) => ending.stop()),
    kill: () =>
      end(async (ending) => {
        ending.signal('SIGKILL');
        await ending.ended;
      }),
    async ask(method, target, body) {
      if (http === undefined) throw new Error(`lnd (${role}) is not running.`);
      return await ask(http, method, target, body);
    },
  };
}

async function connect(url: string, certFile: string, macaroonFile: string): Promise<NodeHttp | undefined> {
  if (!existsSync(certFile) || !existsSync(macaroonFile)) return undefined;
  const http = createNodeHttp({
    url,
    headers: { 'grpc-metadata-macaroon': readFileSync(macaroonFile, 'hex') },
    tlsCertPem: readFileSync(certFile, 'utf8'),
    timeoutMs: ASK_TIMEOUT_MS,
    concurrency: 64,
  });
  const state = await ask(http, 'GET', '/v1/state').catch(() => undefined);
  if (ANSWERS.test(walletState.safeParse(state).data?.state ?? '')) return http;
  await http.close();
  return undefined;
}

async function ask(http: NodeHttp, method: 'GET' | 'POST', target: string, body?: unknown): Promise<unknown> {
  const answer = await http.exchange({ method, path: target, body });
  if (answer.status === 200) return answer.body;
  const said = errorSchema.safeParse(answer.body).data?.message ?? `HTTP ${answer.status}`;
  throw new Error(`LND refused ${method} ${target.split('?')[0]}: ${said}`);
}

function lndConfig(role: LndRole, folder: RegtestFolder, state: RegtestState): string {
  const { rest, rpc, peer } = state[role];
  return [
    '; Written at each start of the private network.',
    '[Application Options]',
    `alias=${role}`,
    `restlisten=127.0.0.1:${rest}`,
    `rpclisten=127.0.0.1:${rpc}`,
    `listen=127.0.0.1:${peer}`,
    '; A wallet with a fixed password that nobody has to type: for play money only.',
    'noseedbackup=true',
    'nobootstrap=true',
    'trickledelay=50',
    '[Bitcoin]',
    'bitcoin.regtest=true',
    'bitcoin.node=btcd',
    '[Btcd]',
    `btcd.rpchost=127.0.0.1:${state.btcd.rpcPort}`,
    `btcd.rpcuser=${state.btcd.user}`,
    `btcd.rpcpass=${state.btcd.password}`,
    `btcd.rpccert=${btcdCertificate(folder)}`,
    '',
  ].join('\n');
}
