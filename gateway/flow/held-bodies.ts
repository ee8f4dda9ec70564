import type { Msat } from '../../node/msat.ts';
import { GatewayError } from '../errors.ts';
import { announcedLength, readBody } from '../proxy/request-body.ts';
import type { Exchange } from './exchange.ts';

/** Who a body in memory is counted for: an account that has a balance, or anybody else, by the throttle key of the address. */
export interface BodyOwner {
  readonly kind: 'account' | 'stranger';
  readonly key: string;
}

/** Who the body of a request with a credential is counted for: one that is used up gives its holder no more room than a stranger has. */
export function bodyOwner(clientKey: string, accountId: string, balanceMsat: Msat): BodyOwner {
  return balanceMsat > 0 ? { kind: 'account', key: accountId } : { kind: 'stranger', key: clientKey };
}

/** Bytes of request bodies that may be in memory at once. */
export interface HeldBodyLimits {
  /** Of everybody. */
  readonly maxBytes: number;
  /** Of strangers, within the first: they must not keep the bodies of those who pay out. */
  readonly maxStrangerBytes: number;
  /** Of one account, or of one stranger: a fair part, while there are others. */
  readonly maxAccountBytes: number;
  readonly maxBytesPerStranger: number;
}

/** 64 MB, a quarter of it for strangers. */
export const HELD_BODY_LIMITS: HeldBodyLimits = {
  maxBytes: 64_000_000,
  maxStrangerBytes: 16_000_000,
  maxAccountBytes: 16_000_000,
  maxBytesPerStranger: 4_000_000,
};

/** The part of one of so many processes. */
export function heldBodyLimits(processes: number): HeldBodyLimits {
  const part = (whole: number): number => Math.ceil(whole / processes);
  return {
    maxBytes: part(HELD_BODY_LIMITS.maxBytes),
    maxStrangerBytes: part(HELD_BODY_LIMITS.maxStrangerBytes),
    maxAccountBytes: part(HELD_BODY_LIMITS.maxAccountBytes),
    maxBytesPerStranger: part(HELD_BODY_LIMITS.maxBytesPerStranger),
  };
}

/** What reading a body needs of an exchange. */
export type BodyExchange = Pick<Exchange, 'req' | 'res' | 'config' | 'sendContinue'>;

/** The request bodies that are in memory as a whole, because something of them must be known before anything is charged. */
export interface HeldBodies {
  /**
   * Reads a request's body. It is counted until the response is over, since a response may need it to its end.
   * @throws GatewayError `busy` when there is no room; `body-too-large`, `bad-request` as {@link readBody}
   */
  read(exchange: BodyExchange, owner: BodyOwner, maxBytes: number): Promise<Buffer>;
  bytes(): number;
}

/** Seconds that a client is told to wait when there is no room. */
const RETRY_SEC = 2;

/**
 * Counts bytes as they arrive, not as they are announced: room that nobody uses is nobody's. A body that is alone in its part
 * always has room, so that no setting of a service's largest body can shut it out.
 */
export function createHeldBodies(limits: HeldBodyLimits = HELD_BODY_LIMITS): HeldBodies {
  const perOwner = new Map<string, number>();
  const held = { all: 0, strangers: 0 };

  const hasRoom = ({ kind, key }: BodyOwner, mine: number, more: number): boolean => {
    const fits = (sum: number, max: number): boolean => sum === mine || sum + more <= max;
    const ofOwner = perOwner.get(`${kind} ${key}`) ?? 0;
    if (!fits(held.all, limits.maxBytes)) return false;
    if (kind === 'account') return fits(ofOwner, limits.maxAccountBytes);
    return fits(held.strangers, limits.maxStrangerBytes) && fits(ofOwner, limits.maxBytesPerStranger);
  };
  const count = ({ kind, key }: BodyOwner, bytes: number): void => {
    const name = `${kind} ${key}`;
    const left = (perOwner.get(name) ?? 0) + bytes;
    if (left === 0) perOwner.delete(name);
    else perOwner.set(name, left);
    held.all += bytes;
    if (kind === 'stranger') held.strangers += bytes;
  };

  return {
    async read({ req, res, config, sendContinue }, owner, maxBytes) {
      let mine = 0;
      // Not asked for, when it is known that there is no room.
      if (!hasRoom(owner, 0, announcedLength(req) ?? 0)) throw busy();
      const release = (): void => {
        count(owner, -mine);
        mine = 0;
      };
      res.once('close', release);
      try {
        return await readBody(req, {
          maxBytes,
          timeoutMs: config.limits.clientIdleTimeoutMs,
          sendContinue,
          take(bytes) {
            if (!hasRoom(owner, mine, bytes)) return busy();
            mine += bytes;
            count(owner, bytes);
            return undefined;
          },
        });
      } finally {
        if (res.closed) release();
      }
    },
    bytes: () => held.all,
  };
}

function busy(): GatewayError {
  return new GatewayError('busy', 'Too many request bodies wait at the moment. Try again shortly.', {
    retryAfterSec: RETRY_SEC,
  });
}
