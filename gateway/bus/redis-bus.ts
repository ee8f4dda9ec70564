import { randomBytes } from 'node:crypto';
import { Cluster, type Redis } from 'ioredis';
import type { Bus, BusMessage, BusNews } from './bus.ts';
import { decodeMessage, encodeMessage, type WireMessage } from './message.ts';
import { subscribeAlone } from './redis-subscription.ts';

/** What is counted and logged. Each is optional; none throws. */
export interface RedisBusObserver {
  /**
   * `sent` and `heard`: messages. `lost`: could not be sent. `ignored`: not a message of ours. `missed`: it was deaf for a while (or
   * has just begun), and asks the store for what was said meanwhile.
   */
  counted?(what: 'sent' | 'lost' | 'heard' | 'ignored' | 'missed'): void;
  /** It hears itself, or (`false`) does not any more. */
  stands?(up: boolean): void;
  /** It could not subscribe: Redis is away, or refuses. Told once until it stands again; it tries for ever. */
  failed?(error: unknown): void;
}

/** What a bus over Redis needs. */
export interface RedisBusOptions {
  /** The store's own client: it sends, and tells how to connect another that hears. It stays open. */
  readonly client: Redis | Cluster;
  /** Begins the channel's name. */
  readonly keyPrefix: string;
  readonly observe?: RedisBusObserver;
  /** How often it says a word to itself, ms; default 2,000. */
  readonly beatEveryMs?: number;
}

const BEAT_EVERY_MS = 2_000;
/** After so many beats unheard the subscription is dead, whatever its connection says. */
const DEAD_AFTER_BEATS = 3;

/**
 * A bus over Redis's publish and subscribe; on a Cluster sharded, so that a message is one shard's matter. It proves itself alive by
 * hearing its own beats, because a subscription can die in silence: a half-open connection, a slot that moved, a node that hangs. When
 * it hears itself again, it tells its listeners that they may have missed something.
 */
export function openRedisBus(options: RedisBusOptions): Bus {
  return new RedisBus(options);
}

class RedisBus implements Bus {
  readonly #client: Redis | Cluster;
  readonly #channel: string;
  #isSharded: boolean;
  readonly #observe: RedisBusObserver;
  readonly #sender = randomBytes(8).toString('hex');
  readonly #listeners = new Set<(news: BusNews) => void>();
  readonly #timer: NodeJS.Timeout;
  /** The connection that hears, or tries to. */
  #ear: { readonly giveUp: AbortController; readonly ended: Promise<void> } | undefined;
  #isUp = false;
  #saidFailed = false;
  /** Beats since one of its own was heard. */
  #unheard = 0;
  #closed = false;

  constructor({ client, keyPrefix, observe = {}, beatEveryMs = BEAT_EVERY_MS }: RedisBusOptions) {
    this.#client = client;
    this.#channel = `${keyPrefix}bus`;
    this.#isSharded = client instanceof Cluster;
    this.#observe = observe;
    this.#timer = setInterval(() => this.#beat(), beatEveryMs);
    this.#timer.unref();
    this.#listen();
  }

  publish(message: BusMessage): void {
    if (!this.#closed) void this.#send(message);
  }

  subscribe(listener: (news: BusNews) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#listeners.clear();
    this.#ear?.giveUp.abort();
    await this.#ear?.ended;
  }

  async #send(message: WireMessage): Promise<void> {
    const isBeat = message.kind === 'beat';
    const text = encodeMessage(this.#sender, message);
    try {
      await (this.#isSharded
        ? this.#client.spublish(this.#channel, text)
        : this.#client.publish(this.#channel, text));
      if (!isBeat) this.#observe.counted?.('sent');
    } catch {
      // Redis is away, and its store says so: who should have heard this finds out by asking.
      if (!isBeat) this.#observe.counted?.('lost');
    }
  }

  /** Makes one connection and listens on it for as long as it lives. */
  #listen(): void {
    const giveUp = new AbortController();
    const subscription = {
      client: this.#client,
      channel: this.#channel,
      isSharded: this.#isSharded,
      signal: giveUp.signal,
      // Heard at once, it ends the doubt about what was missed.
      onSubscribed: () => void this.#send({ kind: 'beat' }),
      onText: (text: string) => this.#hear(text),
    };
    const ended = subscribeAlone(subscription).then(
      () => {},
      (error: unknown) => {
        // Redis before 7: the nodes of a Cluster pass each message on to all others. Every gateway finds the same.
        if (isUnknownCommand(error)) this.#isSharded = false;
        if (this.#closed || this.#saidFailed) return;
        this.#saidFailed = true;
        this.#observe.failed?.(error);
      },
    );
    const ear = { giveUp, ended };
    this.#ear = ear;
    void ended.then(() => {
      if (this.#ear !== ear) return;
      this.#ear = undefined;
      const wasUp = this.#isUp;
      this.#lose();
      // One that stood is made again at once; one that could not be made waits for the next beat.
      if (wasUp && !this.#closed) this.#listen();
    });
  }

  #beat(): void {
    if (this.#ear === undefined) {
      this.#unheard = 0;
      this.#listen();
      return;
    }
    this.#unheard += 1;
    if (this.#unheard > DEAD_AFTER_BEATS) this.#ear.giveUp.abort();
    else void this.#send({ kind: 'beat' });
  }

  #lose(): void {
    this.#unheard = 0;
    if (!this.#isUp) return;
    this.#isUp = false;
    if (!this.#closed) this.#observe.stands?.(false);
  }

  #hear(text: string): void {
    if (this.#closed) return;
    const received = decodeMessage(text);
    if (received === undefined) {
      this.#observe.counted?.('ignored');
      return;
    }
    const { sender, message } = received;
    if (sender === this.#sender) this.#heardItself();
    else if (message.kind !== 'beat') {
      this.#observe.counted?.('heard');
      this.#tell(message);
    }
  }

  #heardItself(): void {
    this.#unheard = 0;
    if (this.#isUp) return;
    this.#isUp = true;
    this.#saidFailed = false;
    this.#observe.stands?.(true);
    this.#observe.counted?.('missed');
    // At first too: since its store was read at the start, nobody listened.
    this.#tell({ kind: 'missed' });
  }

  #tell(news: BusNews): void {
    for (const listener of this.#listeners) listener(news);
  }
}

function isUnknownCommand(error: unknown): boolean {
  return error instanceof Error && error.message.includes('unknown command');
}
