import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { RedisServer } from '../../../config/redis-url.ts';
import { within } from '../../../node/within.ts';
import { isSentinelReach, type SentinelReach } from './sentinel-ear.ts';
import { type SentinelWatch, watchSentinels } from './sentinel-watch.ts';

type Tell = Parameters<AbstractConnector['connect']>[0];

/** Between two rounds through all sentinels where the options say nothing else, ms. */
const PAUSE_MS = 1_000;

/**
 * Finds the master by its sentinels, and ends the connection to it when one of them tells that another is master: an old one that hangs
 * closes nothing, and one that wakes up takes itself for the master until it is told. It listens before it asks, because what is told
 * between the answer and the connection counts too.
 *
 * It stands in the place of ioredis's own, whose client ends for ever by an answer that is no address, and by what its detector of
 * failovers hears while it connects again.
 */
export class SwitchingConnector extends AbstractConnector {
  readonly #reach: SentinelReach;
  #watch: SentinelWatch | undefined;
  /** The sentinel that is asked first: the one that knew the master last. */
  #first = 0;
  /** The last answer did not lead to a master, as far as is known. */
  #isAstray = false;

  /** @param options - those of the connection, as ioredis hands them on */
  constructor(options: unknown) {
    if (!isSentinelReach(options))
      throw new TypeError('sentinels and the name of their master must be among the options');
    super(options.disconnectTimeout ?? 0);
    this.#reach = options;
  }

  override async connect(tell: Tell): Promise<Socket> {
    this.#watch?.close();
    // The one that led here may be behind, and would lead to the same server again; who told of another one is not.
    this.#first = this.#watch?.teller() ?? (this.#isAstray ? this.#first + 1 : this.#first);
    this.#isAstray = false;
    const watch = watchSentinels(this.#reach);
    this.#watch = watch;
    try {
      return await this.#findMaster(watch, tell);
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** Told by ioredis what INFO says, before the connection is used. @returns whether it is to a master */
  override check({ role = 'master' }: { role?: string }): boolean {
    this.#isAstray = role !== 'master';
    return !this.#isAstray;
  }

  override disconnect(): void {
    this.#watch?.close();
    super.disconnect();
  }

  /** Asks in rounds, for ever. @throws Error when it was told to close */
  async #findMaster(watch: SentinelWatch, tell: Tell): Promise<Socket> {
    await Promise.race([watch.listening, watch.closed]);
    for (let round = 1; ; round += 1) {
      const found = await this.#askAll(watch, tell);
      // The words by which ioredis knows that it was told to close.
      if (watch.isClosed()) throw new Error('Connection is closed.');
      if (!(found instanceof Error)) return found;
      tell('error', new Error('No sentinel leads to a master', { cause: found }));
      const pauseMs = this.#reach.sentinelRetryStrategy?.(round);
      await within(typeof pauseMs === 'number' ? pauseMs : PAUSE_MS, watch.closed, undefined);
    }
  }

  /** Asks one sentinel after the other, until one leads somewhere. @returns what failed last when none does */
  async #askAll(watch: SentinelWatch, tell: Tell): Promise<Socket | Error> {
    const { ears } = watch;
    let failure = new Error('Connection is closed.');
    for (let asked = 0; asked < ears.length && !watch.isClosed(); asked += 1) {
      const at = (this.#first + asked) % ears.length;
      try {
        const master = await ears[at]?.ask();
        if (master === undefined || watch.isClosed()) break;
        const stream = this.#open(master);
        this.#first = at;
        this.#isAstray = true;
        watch.endWithMaster(stream, master);
        return stream;
      } catch (error) {
        failure = error instanceof Error ? error : failure;
        tell('sentinelError', failure);
      }
    }
    return failure;
  }

  #open({ host, port }: RedisServer): Socket {
    const { tls, enableTLSForSentinelMode } = this.#reach;
    const isPlain = tls === undefined || enableTLSForSentinelMode !== true;
    const stream = isPlain ? connectPlain({ host, port }) : connectTls({ host, port, ...tls });
    this.stream = stream;
    return stream.once('error', (error) => {
      this.firstError = error;
    });
  }
}
