import { createRandom, type Random } from './random.ts';

/** Who may be hit by a fault. */
export type Target = 'store' | 'node' | `gateway-${number}`;

/**
 * What is done to a process. `kill`: as a power cut would end it, and it comes back after `forMs`. `restart`: as an operator would,
 * with a drain. `freeze`: it stands still for `forMs` and answers nobody, and then goes on where it was.
 */
export type FaultKind = 'kill' | 'restart' | 'freeze';

/** One fault, at a moment of the run. */
export interface Fault {
  readonly atMs: number;
  readonly target: Target;
  readonly kind: FaultKind;
  readonly forMs: number;
}

/** What a client does with its life. */
export type Behaviour =
  | 'caller'
  | 'bundle'
  | 'pass'
  | 'downloader'
  | 'streamer'
  | 'topping-streamer'
  | 'sharer'
  | 'late-payer'
  | 'never-returns'
  | 'repeater'
  | 'double-spender'
  | 'forger'
  | 'poacher'
  | 'freeloader';

/** One client: when it comes, what it is like, and the seed of its own choices. */
export interface ClientPlan {
  readonly number: number;
  readonly atMs: number;
  readonly behaviour: Behaviour;
}

/** Everything that is decided before a run begins. The same seed and numbers give the same plan. */
export interface Plan {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly clients: readonly ClientPlan[];
}

/** What a plan is made for. */
export interface PlanOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  readonly gateways: number;
  /** Whether the store is a process of its own, which may be hit. `failovers`: each fault has another one take its place. */
  readonly storeFaults: 'yes' | 'no' | 'failovers';
}

/** Of so many clients, so many are like this. */
const SHARES: readonly (readonly [Behaviour, number])[] = [
  ['caller', 26],
  ['bundle', 10],
  ['pass', 6],
  ['downloader', 8],
  ['streamer', 6],
  ['topping-streamer', 8],
  ['sharer', 8],
  ['late-payer', 6],
  ['never-returns', 3],
  ['repeater', 9],
  ['double-spender', 6],
  ['forger', 6],
  ['poacher', 3],
  ['freeloader', 3],
];

/** Between one fault and the next, ms: the machine needs time to bring back what was killed. */
const FAULT_EVERY_MS = [1_500, 4_500] as const;
/** Between the beginnings of two failovers, ms: one that hits the one before does nothing. */
const FAILOVER_EVERY_MS = [15_000, 22_000] as const;
const FAILOVER_KINDS: readonly FaultKind[] = ['restart', 'kill', 'freeze'];
/** Some gateways are frozen for longer than their leases live: when they go on, others have taken what they had set aside. */
const LONG_FREEZES = 0.12;
const LONG_FREEZE_MS = [11_000, 13_000] as const;
/** The first and the last moments are quiet, so that everything is seen to work. */
const QUIET_MS = 3_000;
/** Clients come until so much of the time is over. */
const ARRIVALS_SHARE = 0.92;

/** Decides every fault and every client of a run. */
export function planRun(options: PlanOptions): Plan {
  const random = createRandom(options.seed);
  return {
    seed: options.seed,
    faults: planFaults(options, random.fork('faults')),
    clients: planClients(options, random.fork('clients')),
  };
}

function planFaults(options: PlanOptions, random: Random): Fault[] {
  const { seconds, gateways, storeFaults } = options;
  const faults: Fault[] = storeFaults === 'failovers' ? planFailovers(options, random.fork('failovers')) : [];
  const untilMs = seconds * 1000 - QUIET_MS;
  let atMs = QUIET_MS;
  for (;;) {
    atMs += random.between(...FAULT_EVERY_MS);
    if (atMs >= untilMs) return faults.sort((a, b) => a.atMs - b.atMs);
    const fault = planFault(gateways, random);
    // Drawn all the same, so that the other faults do not depend on the store.
    if (fault.target === 'store' && storeFaults !== 'yes') continue;
    faults.push({ atMs, ...fault });
  }
}

/** A failover takes long, and each of its kinds must be there in a short run: one after the other, from any on. */
function planFailovers({ seconds }: PlanOptions, random: Random): Fault[] {
  const faults: Fault[] = [];
  const untilMs = seconds * 1000 - QUIET_MS;
  const first = random.between(0, FAILOVER_KINDS.length - 1);
  let atMs = QUIET_MS + random.between(0, 3_000);
  while (atMs < untilMs) {
    const kind = FAILOVER_KINDS[(first + faults.length) % FAILOVER_KINDS.length] ?? 'kill';
    faults.push({ atMs, target: 'store', kind, forMs: random.between(0, 2_500) });
    atMs += random.between(...FAILOVER_EVERY_MS);
  }
  return faults;
}

function planFault(gateways: number, random: Random): Omit<Fault, 'atMs'> {
  const kind = random.fraction();
  const whom = random.fraction();
  const gateway = random.between(0, gateways - 1);
  const target: Target = whom < 0.52 ? `gateway-${gateway}` : whom < 0.82 ? 'store' : 'node';
  if (kind < 0.6) return { target, kind: 'kill', forMs: random.between(50, 2_500) };
  if (kind < 0.72) return { target, kind: 'restart', forMs: random.between(0, 500) };
  const isLong = random.fraction() < LONG_FREEZES && target !== 'store' && target !== 'node';
  const forMs = isLong ? random.between(...LONG_FREEZE_MS) : random.between(200, 3_500);
  return { target, kind: 'freeze', forMs };
}

function planClients({ seconds, clients }: PlanOptions, random: Random): ClientPlan[] {
  const untilMs = seconds * 1000 * ARRIVALS_SHARE;
  const arrivals = Array.from({ length: clients }, () => Math.floor(random.fraction() * untilMs));
  arrivals.sort((a, b) => a - b);
  return arrivals.map((atMs, number) => ({ number, atMs, behaviour: behaviourOf(number, random) }));
}

/** Every behaviour is there in the first dozens of clients, whatever the seed: a short run tries all of them too. */
function behaviourOf(number: number, random: Random): Behaviour {
  const first = SHARES[number];
  const total = SHARES.reduce((sum, [, share]) => sum + share, 0);
  let draw = random.fraction() * total;
  if (first !== undefined) return first[0];
  for (const [behaviour, share] of SHARES) {
    draw -= share;
    if (draw < 0) return behaviour;
  }
  return 'caller';
}
