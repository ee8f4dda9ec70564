import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LndGatewayMessage, LndGatewayOptions } from './lnd-gateway.ts';

/** CPU time, and challenges that were answered with an invoice. */
export type GatewayUsage = Pick<Extract<LndGatewayMessage, { kind: 'usage' }>, 'cpuMicros' | 'challenges'>;

/** A gateway on LND in a process of its own. */
export interface BenchGateway {
  readonly url: string;
  /** What the process has used and done so far. */
  usage(): Promise<GatewayUsage>;
  /** When the node's feed told of this payment, on the clock of {@link wallMs}. */
  settledAtMs(paymentHash: string): Promise<number>;
  stop(): Promise<void>;
}

/** Starts one. @param profile - leave a .cpuprofile in the current folder when it stops */
export async function startBenchGateway(options: LndGatewayOptions, profile: boolean): Promise<BenchGateway> {
  mkdirSync(options.folder, { recursive: true });
  const file = fileURLToPath(new URL('./lnd-gateway.ts', import.meta.url));
  const child = fork(file, [JSON.stringify(options)], {
    execArgv: ['--disable-warning=ExperimentalWarning', ...(profile ? ['--cpu-prof'] : [])],
  });
  const settled = new Map<string, PromiseWithResolvers<number>>();
  const settlement = (paymentHash: string): PromiseWithResolvers<number> => {
    const known = settled.get(paymentHash) ?? Promise.withResolvers<number>();
    settled.set(paymentHash, known);
    return known;
  };
  const ready = Promise.withResolvers<string>();
  let usage = Promise.withResolvers<GatewayUsage>();
  child.on('message', (message: LndGatewayMessage) => {
    if (message.kind === 'ready') ready.resolve(message.url);
    else if (message.kind === 'usage') usage.resolve(message);
    else settlement(message.paymentHash).resolve(message.atMs);
  });
  child.once('exit', () => ready.reject(new Error('the gateway has ended')));
  return {
    url: await ready.promise,
    usage() {
      usage = Promise.withResolvers();
      child.send('usage');
      return usage.promise;
    },
    settledAtMs: (paymentHash) => settlement(paymentHash).promise,
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
    },
  };
}
