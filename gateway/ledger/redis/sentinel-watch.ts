import type { Socket } from 'node:net';
import type { RedisServer } from '../../../config/redis-url.ts';
import { within } from '../../../node/within.ts';
import { type Ear, listen, type SentinelReach } from './sentinel-ear.ts';

/** A sentinel that could not be listened to within it is away, ms: the master is asked for without it. */
const LISTEN_MS = 250;

/** Ears at all sentinels, for one connection. */
export interface SentinelWatch {
  /** In the order of the configuration. */
  readonly ears: readonly Ear[];
  /** Resolves when it hears every sentinel that can be reached now, and knows of one at least whether that is so. */
  readonly listening: Promise<unknown>;
  /** Ends the connection when it is not to the master that was told of last, and the watch with the connection. */
  endWithMaster(stream: Socket, master: RedisServer): void;
  /** The place of the ear that heard news last. */
  teller(): number | undefined;
  isClosed(): boolean;
  /** Resolves when it is closed. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Begins to listen. */
export function watchSentinels(reach: SentinelReach): SentinelWatch {
  let told: RedisServer | undefined;
  let teller: Ear | undefined;
  let guarded: { readonly stream: Socket; readonly master: RedisServer } | undefined;
  let isClosed = false;
  const closed = Promise.withResolvers<void>();
  /** Ears that heard nothing while none did. */
  const missed = new Set<Ear>();

  function judge(): void {
    if (told === undefined || guarded === undefined || guarded.stream.connecting) return;
    // Three sentinels tell it one after the other: by then this may be the connection to the new one.
    const { stream, master } = guarded;
    if (!isSame(told, master) && !leadsTo(stream, told)) stream.destroy();
  }
  function believe(master: RedisServer): void {
    told = master;
    judge();
  }
  function onSwitch(ear: Ear, master: RedisServer): void {
    teller = ear;
    believe(master);
  }
  function onDeaf(): void {
    if (!ears.some((ear) => ear.hears())) for (const ear of ears) missed.add(ear);
  }
  /** What was told while nobody listened has to be asked for. */
  function onHears(ear: Ear): void {
    if (missed.delete(ear)) ear.ask().then(believe, () => {});
  }
  const ears = reach.sentinels.map((sentinel) => listen(sentinel, reach, { onSwitch, onHears, onDeaf }));
  const first = ears.map((ear) => ear.first);
  function close(): void {
    if (isClosed) return;
    isClosed = true;
    for (const ear of ears) ear.close();
    closed.resolve();
  }
  return {
    ears,
    listening: within(LISTEN_MS, Promise.all(first), undefined).then(() => Promise.race(first)),
    endWithMaster(stream, master) {
      guarded = { stream, master };
      stream.once('connect', judge).once('close', close);
      if (stream.destroyed) close();
      else judge();
    },
    teller: () => (teller === undefined ? undefined : ears.indexOf(teller)),
    isClosed: () => isClosed,
    closed: closed.promise,
    close,
  };
}

function isSame(one: RedisServer, other: RedisServer): boolean {
  return one.host === other.host && one.port === other.port;
}

/** Where sentinels announce names, one may have named what another gives the address of. */
function leadsTo({ remoteAddress, remotePort }: Socket, { host, port }: RedisServer): boolean {
  return remoteAddress === host && remotePort === port;
}
