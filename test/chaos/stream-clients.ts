import { setTimeout as wait } from 'node:timers/promises';
import { sats } from '../../node/msat.ts';
import {
  attempt,
  buy,
  type Credential,
  payingClientOf,
  SHOP,
  type Shopper,
  topUpAndWait,
  trySend,
  type Wish,
} from './shopper.ts';

/** Watches a stream for as long as it likes, or until what it bought is used up; now and then over two gateways at once. */
export async function watchStream(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const credential = await buy(shopper, 'live');
  if (credential === undefined) return;
  const { authorization } = credential;
  const watchOnce = (forMs: number): Promise<void> =>
    watchFor(shopper, { id: shopper.nextId(), service: 'live', authorization }, forMs);
  for (let left = random.between(1, 3); left > 0 && !shopper.over.aborted; left -= 1) {
    const viewers = Array.from({ length: random.between(1, 2) }, () => watchOnce(random.between(300, 9_000)));
    // While it is watched at one gateway, another makes the invoice, and any of them hears of the payment.
    if (random.fraction() < 0.5) viewers.push(addMoney(shopper, credential, random.between(1_000, 4_000)));
    await Promise.all(viewers);
    await wait(random.between(0, 500));
  }
}

async function watchFor(shopper: Shopper, wish: Wish, forMs: number): Promise<void> {
  const incoming = await trySend(shopper, { ...wish, query: '?events=1' });
  if (incoming === undefined) return;
  const timer = setTimeout(() => incoming.leave(), forMs);
  await incoming.text();
  clearTimeout(timer);
}

/**
 * A player that opens several connections of one stream, which are charged once: some that stay, and others that come and go all the
 * while, at whichever gateways.
 */
export async function watchTogether(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const credential = await buy(shopper, 'shared');
  if (credential === undefined) return;
  const { authorization } = credential;
  const watchOnce = (forMs: number): Promise<void> =>
    watchFor(shopper, { id: shopper.nextId(), service: 'shared', authorization }, forMs);
  const seek = async (times: number): Promise<void> => {
    for (let left = times; left > 0 && !shopper.over.aborted; left -= 1) {
      await watchOnce(random.between(50, 1_500));
      await wait(random.between(0, 300));
    }
  };
  for (let left = random.between(1, 2); left > 0 && !shopper.over.aborted; left -= 1) {
    const viewers = Array.from({ length: random.between(1, 3) }, () =>
      watchOnce(random.between(1_000, 9_000)),
    );
    viewers.push(seek(random.between(0, 4)));
    if (random.fraction() < 0.5) viewers.push(addMoney(shopper, credential, random.between(1_000, 4_000)));
    await Promise.all(viewers);
    await wait(random.between(0, 500));
  }
}

async function addMoney(shopper: Shopper, credential: Credential, afterMs: number): Promise<void> {
  await wait(afterMs);
  await topUpAndWait(shopper, credential, shopper.random.between(1, 5) * 1_000);
}

/** Watches with the client library, which tops up before the money ends, through whichever gateway it meets. */
export async function watchAndTopUp(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const client = payingClientOf(shopper);
  const forMs = random.between(3_000, 14_000);
  await attempt(shopper.books, async () => {
    const stream = await client.stream(`${SHOP}/live/${shopper.nextId()}?events=1`, {
      autoTopUp: { belowMs: random.between(0, 2_500), amountMsat: sats(random.between(2, 6)) },
    });
    const timer = setTimeout(() => void stream.close(), forMs);
    try {
      const reader = stream.response.body?.getReader();
      while (reader !== undefined && !(await reader.read()).done);
    } finally {
      clearTimeout(timer);
      await stream.close();
    }
  });
}
