import { setTimeout as wait } from 'node:timers/promises';
import type { PayingClient } from '../../client/paying-client.ts';
import {
  askFor,
  attempt,
  buy,
  pay,
  payingClientOf,
  SHOP,
  type Shopper,
  sendUntilAnswered,
  trySend,
  type Wish,
} from './shopper.ts';

/** Pays for one call after the other; some of them fail at the upstream, and must cost nothing. */
export async function callNowAndThen(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const client = payingClientOf(shopper);
  for (let left = random.between(1, 5); left > 0 && !shopper.over.aborted; left -= 1) {
    await fetchWhole(shopper, client, 'call', whimOf(shopper));
    await wait(random.between(0, 400));
  }
}

/** What is asked of the upstream: mostly nothing special. */
function whimOf({ random }: Shopper): string {
  const draw = random.fraction();
  if (draw < 0.12) return '?fail=500';
  if (draw < 0.18) return '?fail=reset';
  if (draw < 0.4) return `?slowMs=${random.between(50, 900)}`;
  return '';
}

/** Uses up a bundle, several calls at once, and buys another when it is empty. */
export async function useBundle(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const client = payingClientOf(shopper);
  for (let left = random.between(2, 4); left > 0 && !shopper.over.aborted; left -= 1) {
    const together = Array.from({ length: random.between(1, 3) }, () =>
      fetchWhole(shopper, client, 'bundle', whimOf(shopper)),
    );
    await Promise.all(together);
    await wait(random.between(0, 600));
  }
}

/** Buys a pass, and uses it for a while: it costs nothing more, whichever gateway takes it. */
export async function usePass(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const client = payingClientOf(shopper);
  for (let left = random.between(3, 9); left > 0 && !shopper.over.aborted; left -= 1) {
    await fetchWhole(shopper, client, 'pass', '');
    await wait(random.between(100, 1_000));
  }
}

/** Fetches files at a price a kilobyte. */
export async function download(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const client = payingClientOf(shopper);
  for (let left = random.between(1, 4); left > 0 && !shopper.over.aborted; left -= 1) {
    await fetchWhole(shopper, client, 'files', `?bytes=${random.between(1_000, 90_000)}`);
    await wait(random.between(0, 500));
  }
}

async function fetchWhole(
  shopper: Shopper,
  client: PayingClient,
  service: string,
  query: string,
): Promise<void> {
  await attempt(shopper.books, async () => {
    const response = await client.fetch(`${SHOP}/${service}/${shopper.nextId()}${query}`);
    await response.arrayBuffer();
  });
}

/** Takes his time between the invoice and the payment, and again before he comes for what he bought. */
export async function payLate(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const challenge = await askFor(shopper, 'call');
  if (challenge === undefined) return;
  await wait(random.between(1_000, 9_000));
  const credential = await pay(shopper, challenge);
  if (credential === undefined) return;
  await wait(random.between(0, 5_000));
  const { authorization } = credential;
  await sendUntilAnswered(shopper, { id: shopper.nextId(), service: 'call', authorization });
}

/** Pays, and is never seen again. */
export async function payAndVanish(shopper: Shopper): Promise<void> {
  await buy(shopper, shopper.random.pick(['call', 'bundle', 'pass']), 'abandon');
}

/**
 * Goes away in the middle of an answer, and asks for it again with the same key: it must not cost twice. Some do so again and again:
 * after two free repetitions they pay.
 */
export async function repeatAfterCut(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const credential = await buy(shopper, 'bundle');
  if (credential === undefined) return;
  const { authorization } = credential;
  for (let left = random.between(1, 4); left > 0 && !shopper.over.aborted; left -= 1) {
    const id = shopper.nextId();
    // Longer than it takes to go: the gateway must not believe that all of it arrived.
    const wish = { id, service: 'bundle', query: '?slowMs=1500', authorization, idempotencyKey: id };
    const cuts = random.pick([1, 1, 1, 5]);
    if ((await leaveInTheMiddle(shopper, wish, cuts)) === 'got-it') continue;
    if ((await sendUntilAnswered(shopper, wish)) === 'refused') return;
  }
}

/** @returns `got-it`: on a machine that is busy all of it may come before one can go, and a repetition would be another call */
async function leaveInTheMiddle(shopper: Shopper, wish: Wish, times: number): Promise<'left' | 'got-it'> {
  for (let left = times; left > 0; left -= 1) {
    const incoming = await trySend(shopper, wish);
    if (incoming !== undefined) {
      const parts = incoming.chunks();
      await parts.next().catch(() => undefined);
      incoming.leave();
      await parts.return(undefined).catch(() => undefined);
      if (incoming.sent.end === 'whole' && incoming.status === 200) return 'got-it';
    }
    await wait(shopper.random.between(0, 300));
  }
  return 'left';
}
