import { member } from './json-path.ts';
import type { PresetName } from './usage-terms.ts';

type Document = Readonly<Record<string, unknown>>;

/** One endpoint whose use is metered: what of a request decides its price. */
export interface Endpoint {
  /** Members that bound the output, as the upstream may honour any of them. None: the endpoint puts out nothing that is counted. */
  readonly bounds: readonly string[];
  /** The object in which the bounds stand; absent: the request itself. */
  readonly container?: string;
  /** What a bound of 0 means to the upstream. */
  readonly zeroMeans: 'nothing' | 'no-bound';
  /** Whether it streams when `stream` is left out; `never`: it has no streams. */
  readonly streams: 'when-asked' | 'unless-refused' | 'never';
  /** `stream_options.include_usage` brings the usage chunk. */
  readonly hasUsageOption: boolean;
  /** The least bound that is worth asking for, or that the upstream takes. */
  readonly leastBound: (document: Document) => number;
  /** How many answers are made, each of which may reach the bound; `undefined` when the request says it in no sensible way. */
  readonly copies: (document: Document) => number | undefined;
}

const one = () => 1;

const CHAT: Endpoint = {
  bounds: ['max_completion_tokens', 'max_tokens'],
  zeroMeans: 'no-bound',
  streams: 'when-asked',
  hasUsageOption: true,
  leastBound: () => 16,
  copies: ({ n }) => countOf(n),
};

const COMPLETIONS: Endpoint = {
  ...CHAT,
  bounds: ['max_tokens'],
  copies: ({ n, best_of: bestOf, prompt }) => {
    const [answers, tried] = [countOf(n), countOf(bestOf)];
    return answers === undefined || tried === undefined
      ? undefined
      : Math.max(answers, tried) * prompts(prompt);
  },
};

const RESPONSES: Endpoint = {
  ...CHAT,
  bounds: ['max_output_tokens'],
  hasUsageOption: false,
  copies: one,
};

const NO_OUTPUT: Endpoint = {
  ...RESPONSES,
  bounds: [],
  streams: 'never',
};

const MESSAGES: Endpoint = {
  bounds: ['max_tokens'],
  zeroMeans: 'nothing',
  streams: 'when-asked',
  hasUsageOption: false,
  // The thinking budget must be below max_tokens.
  leastBound: ({ thinking }) => {
    const budget = member(thinking, 'budget_tokens');
    return typeof budget === 'number' && budget >= 0 && budget < 1e9 ? Math.ceil(budget) + 1 : 16;
  },
  copies: one,
};

const OLLAMA: Endpoint = {
  bounds: ['num_predict'],
  container: 'options',
  zeroMeans: 'no-bound',
  streams: 'unless-refused',
  hasUsageOption: false,
  leastBound: () => 16,
  copies: one,
};

/** Endpoints by the end of their path. */
const ENDPOINTS: Readonly<Record<PresetName, readonly (readonly [suffix: string, endpoint: Endpoint])[]>> = {
  openai: [
    ['/chat/completions', CHAT],
    ['/completions', COMPLETIONS],
    ['/responses', RESPONSES],
    ['/embeddings', NO_OUTPUT],
  ],
  anthropic: [['/messages', MESSAGES]],
  ollama: [
    ['/api/chat', OLLAMA],
    ['/api/generate', OLLAMA],
    ['/api/embed', NO_OUTPUT],
  ],
};

/** The members of a request whose values decide its price, lower case. */
export const PRICED_MEMBERS: Readonly<Record<PresetName, ReadonlySet<string>>> = {
  openai: new Set([
    ...['model', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'max_output_tokens'],
    ...['n', 'best_of', 'prompt', 'background'],
  ]),
  anthropic: new Set(['model', 'stream', 'max_tokens', 'thinking']),
  ollama: new Set(['model', 'stream', 'options']),
};

/**
 * The endpoint that a request is for.
 * @param path - of the request to the upstream, without its query
 * @returns `undefined` for a path whose use nobody reports
 */
export function endpointOf(preset: PresetName, path: string): Endpoint | undefined {
  const bare = path.replace(/\/{1,8}$/, '');
  return ENDPOINTS[preset].find(([suffix]) => bare.endsWith(suffix))?.[1];
}

/** The endpoints of a preset, for a message. */
export function endpointNames(preset: PresetName): string {
  return ENDPOINTS[preset].map(([suffix]) => suffix).join(', ');
}

function countOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return 1;
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 1024
    ? value
    : undefined;
}

/** A list of texts or of token lists is as many prompts; a list of tokens is one. */
function prompts(prompt: unknown): number {
  return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(1, prompt.length) : 1;
}
