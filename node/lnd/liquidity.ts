import { z } from 'zod';
import type { NodeHttp } from '../http.ts';
import { addMsat, type Msat, msat, sats, ZERO_MSAT } from '../msat.ts';
import type { Liquidity } from '../node.ts';
import { readAnswer } from './answers.ts';
import { ask } from './receive.ts';

/** Room for some thousand channels, at about 2 KB each. */
const MAX_CHANNELS_BYTES = 16 * 1024 * 1024;

/** 64-bit integers are strings in protojson. The bound is all the bitcoin that there will be, in sat. */
const sat = z
  .union([z.string().regex(/^-?\d{1,16}$/), z.int()])
  .transform(Number)
  .refine((value) => value <= 2_100_000_000_000_000)
  .transform((value): Msat => sats(Math.max(0, value)));
const timestamp = z
  .union([z.string().regex(/^-?\d{1,16}$/), z.int()])
  .transform(Number)
  .refine(Number.isSafeInteger);

const channelsAnswer = z.object({
  channels: z.array(
    z.object({
      active: z.boolean(),
      remote_balance: sat,
      remote_constraints: z.object({ chan_reserve_sat: sat }).nullish(),
    }),
  ),
});

const infoAnswer = z.object({
  num_peers: z.int(),
  block_height: z.int(),
  best_header_timestamp: timestamp,
  synced_to_chain: z.boolean(),
});

/**
 * `GET /v1/channels` and `/v1/getinfo`, which need the rights `offchain:read` and `info:read`. Of a channel, the peer must keep
 * its reserve. LND splits and joins payments, so that the channels count together.
 * @throws NodeError
 */
export async function receivable(
  http: NodeHttp,
  nowSec: number,
  signal: AbortSignal | undefined,
): Promise<Liquidity> {
  const get = (path: string, what: string, maxBytes?: number): Promise<unknown> =>
    ask(http, { method: 'GET', path, signal, ...(maxBytes === undefined ? {} : { maxBytes }) }, what);
  const [list, about] = await Promise.all([
    get('/v1/channels', 'the channels', MAX_CHANNELS_BYTES),
    get('/v1/getinfo', 'getinfo'),
  ]);
  const { channels } = readAnswer(channelsAnswer, list, 'the channels');
  const info = readAnswer(infoAnswer, about, 'getinfo');
  const active = channels.filter((channel) => channel.active);
  return {
    inboundMsat: addMsat(...channels.map((channel) => channel.remote_balance)),
    largestReceivableMsat: addMsat(
      ...active.map(({ remote_balance, remote_constraints }) =>
        msat(Math.max(0, remote_balance - (remote_constraints?.chan_reserve_sat ?? ZERO_MSAT))),
      ),
    ),
    activeChannels: active.length,
    inactiveChannels: channels.length - active.length,
    peers: info.num_peers,
    blockHeight: info.block_height,
    blockAgeSec: Math.max(0, nowSec - info.best_header_timestamp),
    synced: info.synced_to_chain,
  };
}
