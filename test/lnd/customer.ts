import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { msat } from '../../node/msat.ts';
import type { Payer } from '../../node/node.ts';

/** An invoice that the gateway handed out, and what it was for. */
export interface Bought {
  readonly kind: 'call' | 'top-up';
  readonly macaroon: string;
  readonly paymentHash: string;
  readonly amountMsat: number;
}

/** A buyer who keeps on buying whatever happens, and remembers everything that it was promised and given. */
export interface Customer {
  readonly bought: readonly Bought[];
  /** Paid answers. */
  readonly served: number;
  /** Requests with a credential that had no answer: they may have cost something. */
  readonly unanswered: number;
  run(signal: AbortSignal): Promise<void>;
}

const challengeSchema = z.object({ macaroon: z.string(), invoice: z.string(), paymentHash: z.string() });
const topUpSchema = z.object({ invoice: z.string(), paymentHash: z.string() });

const CALL_MSAT = 10_000;
const TOP_UP_MSAT = 30_000;
const PAY = { maxFeeMsat: msat(0), timeoutMs: 5_000 };

/** Buys a call, tops up, makes three more calls, and begins again. */
export function createCustomer(url: string, payer: Payer): Customer {
  const bought: Bought[] = [];
  let [served, unanswered] = [0, 0];

  const call = async (authorization: string): Promise<boolean> => {
    try {
      const response = await fetch(`${url}/quote`, { headers: { Authorization: authorization } });
      const { status } = response;
      await response.text();
      if (status === 200) served += 1;
      return status === 200;
    } catch {
      unanswered += 1;
      return false;
    }
  };

  const round = async (): Promise<void> => {
    const challenge = challengeSchema.parse(await json(await fetch(`${url}/quote`)));
    const { macaroon, paymentHash } = challenge;
    bought.push({ kind: 'call', macaroon, paymentHash, amountMsat: CALL_MSAT });
    const paid = await payer.payInvoice(challenge.invoice, PAY);
    if (paid.kind !== 'succeeded') return;
    const authorization = `L402 ${macaroon}:${paid.preimage}`;
    if (!(await call(authorization))) return;
    const body = JSON.stringify({ amountMsat: TOP_UP_MSAT });
    const headers = { Authorization: authorization, 'Content-Type': 'application/json' };
    const asked = await fetch(`${url}/.l402/topup`, { method: 'POST', headers, body });
    const topUp = topUpSchema.parse(await json(asked));
    bought.push({ kind: 'top-up', macaroon, paymentHash: topUp.paymentHash, amountMsat: TOP_UP_MSAT });
    await payer.payInvoice(topUp.invoice, PAY);
    for (let count = 0; count < TOP_UP_MSAT / CALL_MSAT; count += 1) await call(authorization);
  };

  return {
    bought,
    get served() {
      return served;
    },
    get unanswered() {
      return unanswered;
    },
    async run(signal) {
      while (!signal.aborted) {
        // Whatever is down is up again soon.
        await round().catch(() => wait(50));
      }
    },
  };
}

async function json(response: Response): Promise<unknown> {
  return await response.json();
}
