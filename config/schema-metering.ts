import { z } from 'zod';
import { type JsonPath, parseJsonPath } from '../gateway/meter/usage/json-path.ts';
import { PRESET_NAMES, USAGE_DEFAULTS } from '../gateway/meter/usage/usage-terms.ts';
import { readDecimal, timesDecimal } from '../gateway/pricing/decimal.ts';
import { parseDeposit } from '../gateway/pricing/parse-deposit.ts';
import { SIZE_BYTES } from '../gateway/pricing/words.ts';
import {
  durationMs,
  number,
  orRefused,
  price,
  type Refused,
  sizeBytes,
  text,
  written,
  yesNo,
} from './values.ts';

/*
 * The keys of a service with a metered price. None has a default here, so that a key on a service that is not metered is noticed:
 * metering.ts fills them in. `shown` is what the reference and editors show.
 */

const shown = (value: unknown): { readonly usual: unknown } => ({ usual: value });

const deposit = written(
  (value) => orRefused(() => parseDeposit(value), 'is not a deposit'),
  'amount, time or size',
);

const BITS: ReadonlyMap<string, bigint> = new Map([
  ['bit', 1n],
  ['kbit', 1_000n],
  ['mbit', 1_000_000n],
  ['gbit', 1_000_000_000n],
]);

const pace = written((value): number | Refused => {
  const parts = /^(\d{1,15}(?:\.\d{1,9})?) ?([a-z]{1,12})(?:\/s|\/sec|\/second| per second)$/i.exec(value);
  const amount = readDecimal(parts?.[1] ?? '');
  const word = (parts?.[2] ?? '').toLowerCase();
  const bits = BITS.get(word) ?? BigInt(SIZE_BYTES.get(word) ?? 0) * 8n;
  if (amount === undefined || bits === 0n) {
    return {
      problem: 'is not a bitrate',
      remedy: 'write bits or bytes a second: `2Mbit/s`, `250KB/s`',
    };
  }
  const { digits, scale } = timesDecimal(amount, bits);
  const bytesPerSec = digits / 10n ** BigInt(scale) / 8n;
  if (bytesPerSec >= 1_000n && bytesPerSec <= 100_000_000_000n) return Number(bytesPerSec);
  return { problem: 'is not between 1KB/s and 100GB/s', remedy: 'write a rate such as `2Mbit/s`' };
}, 'rate');

const streams = z.strictObject({
  max: z
    .union([number(1, 1_000_000), z.literal('unlimited')])
    .optional()
    .describe(
      'Streams that one account may have open at once, at all workers and gateways together, or `unlimited`. Without a bound one payment can serve a whole chat room.',
    )
    .meta(shown(3)),
  charge: z
    .enum(['each', 'once'])
    .optional()
    .describe(
      '`once`: the open streams of an account are charged for time as one, for players that probe, seek and reconnect. Prices for time only.',
    )
    .meta(shown('each')),
});

const headerName = written((value): string | Refused =>
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(value)
    ? value.toLowerCase()
    : { problem: 'is not the name of a header', remedy: 'use letters, digits and `-`: `x-units-used`' },
);

const jsonPath = written((value): JsonPath | Refused => {
  try {
    return parseJsonPath(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return {
      problem: 'is not a path into JSON',
      remedy: 'write names with dots and indexes: `usage.total_tokens`, `items[0].size`',
    };
  }
});

const rates = z.strictObject({
  input: price.describe('Price of its input.').meta({ written: ['150 msat/1k tokens'] }),
  output: price.describe('Price of its output.').meta({ written: ['600 msat/1k tokens'] }),
  cachedInput: price
    .optional()
    .describe("Price of input that came from the upstream's cache. Without it: as input."),
  cacheWrite: price
    .optional()
    .describe("Price of input that was written to the upstream's cache. Without it: as input."),
});

/** Rates of one model, as they are read. */
export type RatesFile = z.output<typeof rates>;

const units = number(1, 1_000_000_000_000);

const usage = z.strictObject({
  preset: z
    .enum(PRESET_NAMES)
    .optional()
    .describe('A wire form that is known by name: input and output are read from its answers and streams.'),
  header: headerName
    .optional()
    .describe('Or: the response header that holds the number of units.')
    .meta({ written: ['x-units-used'] }),
  trailer: headerName
    .optional()
    .describe('Or: the trailer that holds it.')
    .meta({ written: ['x-units-used'] }),
  json: jsonPath
    .optional()
    .describe('Or: its place in a JSON answer.')
    .meta({ written: ['usage.total'] }),
  sse: jsonPath
    .optional()
    .describe(
      'Or: its place in the data of server-sent events; each is the total so far, the last one counts.',
    )
    .meta({ written: ['usage.total'] }),
  estimate: units
    .optional()
    .describe(
      `Units set aside for a request, and billed when the report is missing. Needed without a preset. With one: output that is assumed of a request without a bound of its own, ${USAGE_DEFAULTS.presetEstimateUnits} when left out.`,
    )
    .meta({ written: [1_000] }),
  cap: units
    .optional()
    .describe(
      `Most units of one report that are billed: more is a mistake of the upstream, and counted in a metric. Without it: ${USAGE_DEFAULTS.capTimesEstimate} times the estimate; with a preset ${USAGE_DEFAULTS.presetCapUnits}.`,
    ),
  bound: z
    .enum(['reserve', 'rewrite'])
    .optional()
    .describe(
      "Presets: what a request's own bound (`max_tokens`) does. `reserve`: it is set aside. `rewrite`: it is also lowered to what the balance buys, and set when it is missing.",
    )
    .meta(shown('reserve')),
  boundField: text(64)
    .optional()
    .describe(
      "Presets: name under which `bound: rewrite` sets a missing bound. Without it: the preset's own. Ollama's OpenAI surface reads only `max_tokens`.",
    )
    .meta({ written: ['max_tokens'] }),
  models: z
    .record(text(256), rates)
    .optional()
    .describe(
      'Presets: prices by model; a name may end in `*`. A model that nothing names is refused before it is paid for. Without it `price` holds for every model.',
    )
    .meta({ written: [{ 'gpt-4*': { input: '3 sat/1k tokens', output: '12 sat/1k tokens' } }] }),
  otherModels: rates
    .optional()
    .describe('Presets: prices of models that `models` does not name. Make them your dearest.'),
  inputBytesPerUnit: number(1, 64, 'any')
    .optional()
    .describe(
      'Presets: bytes of a request that make one unit of input at the least, for what is set aside. 1 is always enough; 4 trusts the text to be ordinary.',
    )
    .meta(shown(USAGE_DEFAULTS.inputBytesPerUnit)),
  referenceUnits: number(0, 1_000_000_000)
    .optional()
    .describe(
      "Presets: units set aside for each thing that a request refers to and does not hold: an image's URL, a file, an earlier response.",
    )
    .meta(shown(USAGE_DEFAULTS.referenceUnits)),
  maxRequest: sizeBytes('1KB', '100MB')
    .optional()
    .describe(
      'Presets: larger requests are refused with 413, because they are read whole before they are paid for.',
    )
    .meta(shown('4MB')),
});

/** How a service learns what a request used, as it is read. */
export type UsageFile = z.output<typeof usage>;

/** Keys of a service that a metered price alone may have. */
export const meteringKeys = {
  deposit: deposit
    .optional()
    .describe(
      'What a challenge of a metered price sells: an amount (`100 sat`), or what it shall buy (`60s`, `10MB`, `1k tokens`). Without it: 100 sat, or what buys one minute, one unit or one `estimate` when that is more. Over 1000 sat common clients do not pay unasked.',
    )
    .meta({ written: ['100 sat', '60s', '10MB', '1k tokens'] }),
  hold: durationMs('0s', '1h')
    .optional()
    .describe(
      'How long a stream without credit waits for a top-up before it is cut. Keep it below the read timeout of proxies in front, which is often 60 s. `0s` cuts at once.',
    )
    .meta(shown('45s')),
  warn: durationMs('0s', '1h')
    .optional()
    .describe('The client is warned when its credit lasts for less than this. `0s`: never.')
    .meta(shown('10s')),
  slice: durationMs('100ms', '1m')
    .optional()
    .describe('Prices for time: charged ahead in slices of this. The last one is prorated.')
    .meta(shown('1s')),
  chargeFrom: z
    .enum(['response', 'request'])
    .optional()
    .describe("Prices for time: from the upstream's first byte on, or from the request on, for long polls.")
    .meta(shown('response')),
  streams: streams
    .optional()
    .describe('Metered prices: how many streams an account may have, and how they are charged.'),
  count: z
    .enum(['response', 'request', 'both'])
    .optional()
    .describe('Prices for bytes and events: the direction that counts.')
    .meta(shown('response')),
  pace: pace
    .optional()
    .describe(
      'Prices for time and bytes: an answer leaves no faster than this. At a price for time it keeps an hour of film from being fetched in a second: set it to the bitrate of the media.',
    )
    .meta({ written: ['2Mbit/s', '250KB/s'] }),
  allowBurst: yesNo
    .optional()
    .describe(
      'Prices for time: allow answers of known length to be fetched faster than they play. With neither `pace` nor this, an answer with a Content-Length is refused when it comes, because its seconds would cost almost nothing.',
    )
    .meta(shown(false)),
  usage: usage
    .optional()
    .describe(
      'Prices for units that the upstream reports (`3 sat/1k tokens`): where it reports them. One of `preset`, `header`, `trailer`, `json` and `sse`. See docs/usage.md.',
    )
    .meta({ written: [{ preset: 'openai' }, { header: 'x-pages', estimate: 10 }] }),
};
