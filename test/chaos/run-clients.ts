import { setTimeout as wait } from 'node:timers/promises';
import { forge, poach, rideFree, spendTwice } from './cheats.ts';
import {
  callNowAndThen,
  download,
  payAndVanish,
  payLate,
  repeatAfterCut,
  useBundle,
  usePass,
} from './honest-clients.ts';
import type { Behaviour, ClientPlan } from './schedule.ts';
import type { Shopper } from './shopper.ts';
import { watchAndTopUp, watchStream, watchTogether } from './stream-clients.ts';

const LIVES: Readonly<Record<Behaviour, (shopper: Shopper) => Promise<void>>> = {
  caller: callNowAndThen,
  bundle: useBundle,
  pass: usePass,
  downloader: download,
  streamer: watchStream,
  'topping-streamer': watchAndTopUp,
  sharer: watchTogether,
  'late-payer': payLate,
  'never-returns': payAndVanish,
  repeater: repeatAfterCut,
  'double-spender': spendTwice,
  forger: forge,
  poacher: poach,
  freeloader: rideFree,
};

/** What running clients needs. */
export interface ClientsOptions {
  readonly plans: readonly ClientPlan[];
  /** Most clients at a time: one who comes later than planned waits at the door. */
  readonly atOnce: number;
  readonly nowMs: () => number;
  readonly over: AbortSignal;
  readonly shopperOf: (plan: ClientPlan) => Shopper;
}

/** Lets each client live. @returns what was thrown by clients: a mistake of theirs or of the client library */
export async function runClients(options: ClientsOptions): Promise<readonly unknown[]> {
  const { plans, atOnce, nowMs, over, shopperOf } = options;
  const mistakes: unknown[] = [];
  const living = new Set<Promise<void>>();
  for (const plan of plans) {
    await wait(Math.max(0, plan.atMs - nowMs()), undefined, { signal: over }).catch(() => undefined);
    while (living.size >= atOnce) await Promise.race(living);
    if (over.aborted) break;
    const life = LIVES[plan.behaviour](shopperOf(plan))
      .catch((error: unknown) => {
        mistakes.push(error);
      })
      .finally(() => living.delete(life));
    living.add(life);
  }
  await Promise.all(living);
  return mistakes;
}
