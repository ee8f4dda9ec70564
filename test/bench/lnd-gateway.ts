/*
 * The gateway of `npm run bench:lnd`, in a process of its own, so that its CPU time is its own. Forked by lnd.ts; says where it
 * listens, when each settlement reaches it, and answers `usage` with what the operating system accounts to it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { keepObjectsYoung } from '../../gateway/keep-objects-young.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { createLndNode } from '../../node/lnd.ts';
import type { LightningNode } from '../../node/node.ts';
import { testConfig, testService } from '../support/config.ts';
import { startTestGateway } from '../support/gateway.ts';
import { wallMs } from './wall-clock.ts';

/** How the gateway is to be. */
export interface LndGatewayOptions {
  readonly url: string;
  readonly grpcUrl: string;
  /** How LND is asked for invoices. */
  readonly invoices: 'rest' | 'grpc';
  readonly macaroonFile: string;
  readonly tlsCertFile: string;
  readonly folder: string;
  readonly upstream: string;
  /** Invoices made ahead; 0: none. */
  readonly poolSize: number;
}

/** What it tells its parent. */
export type LndGatewayMessage =
  | { readonly kind: 'ready'; readonly url: string }
  /** `challenges`: answered with an invoice, since the start. */
  | { readonly kind: 'usage'; readonly cpuMicros: number; readonly challenges: number }
  | { readonly kind: 'settlement'; readonly paymentHash: string; readonly atMs: number };

function say(message: LndGatewayMessage): void {
  process.send?.(message);
}

/**
 * Tells of each settlement in the moment in which the adapter hands it over. It can't list invoices: the reconciliation after the start
 * would read through all that the floods before have left.
 */
function announced({ settledInvoices: _, ...node }: LightningNode): LightningNode {
  return {
    ...node,
    async *settlements(cursor, signal) {
      for await (const settlement of node.settlements(cursor, signal)) {
        say({ kind: 'settlement', paymentHash: settlement.paymentHash, atMs: wallMs() });
        yield settlement;
      }
    },
  };
}

async function run(options: LndGatewayOptions): Promise<void> {
  keepObjectsYoung();
  const node = createLndNode({
    url: options.url,
    ...(options.invoices === 'grpc' ? { grpcUrl: options.grpcUrl } : {}),
    macaroon: readFileSync(options.macaroonFile, 'hex'),
    tlsCertPem: readFileSync(options.tlsCertFile, 'utf8'),
    network: 'regtest',
  });
  const { challenge } = testConfig([]);
  const unlimited = { burst: 1e9, perMinute: 1e9, maxOutstanding: 1e9, maxOutstandingPerClient: 1e9 };
  const { poolSize } = options;
  const pool = poolSize === 0 ? {} : { invoicePool: { size: poolSize, refillBelow: poolSize } };
  const clock = {
    get ms() {
      return Date.now();
    },
  };
  const file = path.join(options.folder, 'ledger.db');
  const running = await startTestGateway(
    [testService({ name: 'quote', path: '/quote', price: '10 sat', upstream: options.upstream })],
    {
      wrapNode: () => announced(node),
      store: await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }),
      clock,
      config: { challenge: { ...challenge, ...unlimited, ...pool } },
    },
  );
  process.on('message', async () => {
    const { user, system } = process.cpuUsage();
    const { body } = await running.metrics.scrape();
    const challenges = Number(/^sluice_invoices_created_total\{.*\} (\d+)$/m.exec(body)?.[1] ?? 0);
    say({ kind: 'usage', cpuMicros: user + system, challenges });
  });
  // A profile is written when the process exits by itself.
  process.once('SIGINT', () => process.exit(0));
  say({ kind: 'ready', url: running.url });
}

await run(JSON.parse(process.argv[2] ?? '{}'));
