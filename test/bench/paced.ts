import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { quantile } from './statistics.ts';

/** How long answers took. */
export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Requests at an even pace, whether the ones before were answered or not. */
export interface PacedLoad {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly perSec: number;
  readonly seconds: number;
  readonly expectStatus: number;
  /** JSON to post; absent: GET. */
  readonly post?: string;
}

/** Sends them, and measures each until its answer was read whole. Certificates are not checked. */
export async function paced(
  target: PacedLoad,
): Promise<Latencies & { readonly requests: number; readonly errors: number }> {
  const { origin, pathname } = new URL(target.url);
  const pool = new Pool(origin, { connections: 64, connect: { rejectUnauthorized: false } });
  const tookMs: number[] = [];
  let errors = 0;
  const ask = async (): Promise<void> => {
    const startMs = performance.now();
    const { statusCode, body } = await pool.request({
      path: pathname,
      method: target.post === undefined ? 'GET' : 'POST',
      headers: { ...target.headers },
      body: target.post ?? null,
    });
    await body.text();
    tookMs.push(performance.now() - startMs);
    if (statusCode !== target.expectStatus) errors += 1;
  };
  const requests = target.perSec * target.seconds;
  const asked: Promise<void>[] = [];
  const startMs = performance.now();
  for (let count = 0; count < requests; count += 1) {
    await sleep(Math.max(0, startMs + (count * 1000) / target.perSec - performance.now()));
    asked.push(
      ask().catch(() => {
        errors += 1;
      }),
    );
  }
  await Promise.all(asked);
  await pool.close();
  return { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99), requests, errors };
}
