import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { NodeError, type PaymentState } from '../../node/node.ts';
import type { FullWallet } from '../wallet.ts';
import { createLndWallet } from './lnd.ts';

const simnetSchema = z.object({
  url: z.url({ protocol: /^https?$/ }),
  wallets: z.record(z.string(), z.string().regex(/^[0-9a-fA-F]+$/)),
});

/** Which wallet of which simulated network. */
export interface SimulatedWalletOptions {
  /** The data folder of the gateway or of `sluice simnet`, which writes `simnet.json` there. */
  readonly dataDir: string;
  /** Name of the wallet. Default: `default`. */
  readonly name?: string;
}

/**
 * A play-money wallet of the simulated Lightning network, for Node. It speaks to it as to an LND node.
 * @throws NodeError `not-ready` when no network has left its address in the data folder.
 * @example
 * const wallet = await openSimulatedWallet({ dataDir: '.sluice' });
 */
export async function openSimulatedWallet(options: SimulatedWalletOptions): Promise<FullWallet> {
  const file = join(options.dataDir, 'simnet.json');
  const name = options.name ?? 'default';
  const { url, wallets } = await readSimnet(file);
  const macaroon = wallets[name];
  if (macaroon === undefined) throw new NodeError('rejected', `There is no wallet "${name}" in ${file}.`);
  const wallet = createLndWallet({ url, macaroon });
  return {
    ...wallet,
    payInvoice: async (invoice, payOptions) =>
      explainNoRoute(await wallet.payInvoice(invoice, payOptions), options.dataDir),
  };
}

/** Between two simulated networks there is no route, and each gateway has one of its own unless told otherwise. */
function explainNoRoute(state: PaymentState, dataDir: string): PaymentState {
  if (state.kind !== 'failed' || !state.reason.startsWith('no route')) return state;
  const doubt = `the invoice may be from another simulated network than that of ${dataDir}, which --data names`;
  return { ...state, reason: `${state.reason}; ${doubt}` };
}

async function readSimnet(file: string): Promise<z.infer<typeof simnetSchema>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new NodeError(
      'not-ready',
      `There is no simulated wallet: ${file} can't be read. Start the gateway (npm start) first, or name its folder with --data.`,
      { cause },
    );
  }
  try {
    return simnetSchema.parse(JSON.parse(text));
  } catch {
    // The cause would quote the file, and the file holds macaroons.
    throw new NodeError('protocol', `${file} is damaged; restart the gateway to have it written again.`);
  }
}
