import { setTimeout as wait } from 'node:timers/promises';
import { type Books, openBooks } from './books.ts';
import { acceptedOf, paidOf } from './evidence.ts';
import { configOf, forgottenOf, readFacts, untilHeard } from './facts.ts';
import { createRandom } from './random.ts';
import type { Report } from './report.ts';
import { runClients } from './run-clients.ts';
import { runFaults } from './run-faults.ts';
import { planRun, type Target } from './schedule.ts';
import { createSender } from './sender.ts';
import type { Shopper } from './shopper.ts';
import { prepareStore, type StoreKind } from './store-under-fault.ts';
import { checkEverythingTried } from './tally.ts';
import { createTimeline, type Timeline } from './timeline.ts';
import { verify } from './verify.ts';
import type { Victim } from './victim.ts';
import { createCountingWallet } from './wallet.ts';
import { learnPayments, presentAll, spendRests } from './wind-up.ts';
import { startWorld, type World } from './world.ts';

/** What a run is made of. */
export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  readonly gateways: number;
  /** Processes that serve, of each gateway. */
  readonly workers: number;
  /** Most clients at a time. */
  readonly atOnce: number;
  readonly store: StoreKind;
  readonly folder: string;
  readonly say: (line: string) => void;
}

const STORE_FAULTS = { redis: 'yes', sentinel: 'failovers', sqlite: 'no' } as const satisfies Record<
  StoreKind,
  string
>;
/** Clients that are still at it so long after the last one came are told to stop, ms. */
const LAST_CLIENTS_MS = 45_000;
/** So many clients pay more than they are asked for: by a msat, or up to twice as much. */
const GENEROUS = 0.2;
/** How long gateways may take to hear of a top-up that nobody presents, once everything is up, ms. */
const HEAR_LIMIT_MS = 120_000;

/** Runs one: starts everything, does the faults while the clients live, and holds the books against each other. */
export async function runChaos(options: RunOptions): Promise<Report> {
  const { folder, say } = options;
  const plan = planRun({ ...options, storeFaults: STORE_FAULTS[options.store] });
  let beganMs = performance.now();
  const timeline = createTimeline(() => performance.now() - beganMs);
  const store = await prepareStore(options.store, folder, timeline);
  const { gateways, workers } = options;
  const world = await startWorld({ folder, gateways, workers, store, timeline });
  const books = openBooks();
  try {
    say(`up: ${store.guarantee}`);
    beganMs = performance.now();
    const over = new AbortController();
    const shopperOf = shopperFactory(options, world, books, timeline, over.signal);
    const faults = runFaults(plan.faults, victimsOf(world), timeline, over.signal);
    const clients = runClients({
      plans: plan.clients,
      atOnce: options.atOnce,
      nowMs: timeline.nowMs,
      over: over.signal,
      shopperOf: ({ number }) => shopperOf(number),
    });
    const stop = setTimeout(() => over.abort(), options.seconds * 1000 + LAST_CLIENTS_MS);
    const [faultCounts, mistakes] = await Promise.all([faults, clients]);
    clearTimeout(stop);
    say(`all clients are gone after ${Math.round(timeline.nowMs() / 1000)} s; everything is up again`);
    const complaints = mistakes.map((error) => `a client threw: ${inWords(error)}`);
    const unforeseen = (await store.unforeseen?.()) ?? 0;
    if (unforeseen > 0) {
      say(`${unforeseen} failovers that nobody planned: debits may be forgotten at any time of this run`);
      timeline.sometime('store', 'failed-over');
    }
    const late = shopperFactory(options, world, books, timeline, new AbortController().signal, 'end-c');
    const forgotten = await forgottenOf(configOf(world.configFile), acceptedOf(books));
    complaints.push(...(await windUp(books, world, late)));
    const facts = await readFacts(world.configFile, [...books.bought.values()], accountIdsOf(books));
    const evidence = { books, facts, served: world.upstream.served, timeline, forgotten, complaints };
    const checks = [...verify(evidence), checkEverythingTried(books, timeline)];
    return { plan, faultCounts, books, served: world.upstream.served, guarantee: store.guarantee, checks };
  } finally {
    await world.stop();
  }
}

async function windUp(books: Books, world: World, shopperOf: (client: number) => Shopper): Promise<string[]> {
  const complaints = await learnPayments(books, world.wallet);
  const unpresented = [...books.bought.values()]
    .filter(({ intention, payment }) => intention === 'wait' && payment.kind === 'paid')
    .map(({ paymentHash }) => paymentHash);
  const paid = paidOf(books).map(({ paymentHash }) => paymentHash);
  const unheard = await untilHeard(configOf(world.configFile), { paid, unpresented }, HEAR_LIMIT_MS);
  complaints.push(...unheard.map((hash) => `no gateway has heard of the paid top-up ${hash}`));
  complaints.push(...(await presentAll(books, shopperOf)));
  complaints.push(...(await spendRests(books, shopperOf)));
  // What was left to be tried again is done by now; a stop gives up what is not.
  await wait(3_000);
  await Promise.all(world.gateways.map((gateway) => gateway.stop()));
  return complaints;
}

function shopperFactory(
  { seed, gateways }: RunOptions,
  world: World,
  books: Books,
  timeline: Timeline,
  over: AbortSignal,
  phase: 'c' | 'end-c' = 'c',
): (client: number) => Shopper {
  const counts = new Map<number, number>();
  return (number) => {
    const random = createRandom(seed).fork(`client ${number}`);
    const generosity = random.fork('generosity');
    const isGenerous = generosity.fraction() < GENEROUS;
    const wallet = isGenerous
      ? world.generousWallet((askedMsat) => generosity.between(1, askedMsat))
      : world.wallet;
    return {
      number,
      gateways,
      random,
      books,
      over,
      wallet: createCountingWallet(wallet, books, number),
      sender: createSender({
        client: number,
        gateways: world.gatewayUrls,
        books,
        // Apart from the client's own choices, which must not depend on how often it has to repeat itself.
        random: random.fork('sender'),
        nowMs: timeline.nowMs,
      }),
      nextId() {
        const count = (counts.get(number) ?? 0) + 1;
        counts.set(number, count);
        return `${phase}${number}-${count}`;
      },
    };
  };
}

function victimsOf({ node, gateways, store }: World): Map<Target, Victim> {
  const victims = [node, ...gateways, ...(store === undefined ? [] : [store])];
  return new Map(victims.map((victim) => [victim.target, victim]));
}

function accountIdsOf(books: Books): string[] {
  return [...new Set([...books.bought.values()].map(({ accountId }) => accountId))];
}

function inWords(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
