import { type Edit, insertMember, membersOf } from './json-members.ts';
import { member } from './json-path.ts';
import { ambiguous, invalid, isRecord, type JsonRequest, type RequestRefusal } from './read-request.ts';
import type { Endpoint } from './request-forms.ts';
import type { PresetName } from './usage-terms.ts';

/** How a request wants its answer. */
export interface Streaming {
  readonly streams: boolean;
  /** What must be changed so that the stream ends with its usage. */
  readonly edits: readonly Edit[];
  /** The client did not ask for the chunk that the edits bring. */
  readonly removesUsageChunk: boolean;
}

const INCLUDE_USAGE = new Set(['include_usage']);
const ASKED = '{"include_usage":true}';

/**
 * Reads `stream` and `stream_options`. Values that an upstream may read in another way than ours (`"true"`, 1) are refused, as is work in the
 * background: its usage is reported to a later request, which would be free.
 */
export function readStreaming(
  preset: PresetName,
  endpoint: Endpoint,
  request: JsonRequest,
): Streaming | RequestRefusal {
  const { stream, background } = request.document;
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    return invalid('`stream` must be true or false.');
  }
  if (preset === 'openai' && background !== undefined && background !== null && background !== false) {
    return invalid(
      '`background` is not possible here: what such a response uses is reported too late to be paid for.',
    );
  }
  const unlessRefused = endpoint.streams === 'unless-refused';
  const streams = endpoint.streams !== 'never' && (unlessRefused ? stream !== false : stream === true);
  if (!streams || !endpoint.hasUsageOption) return { streams, edits: [], removesUsageChunk: false };
  return askForUsage(request);
}

function askForUsage({ text, top, document }: JsonRequest): Streaming | RequestRefusal {
  const options = member(document, 'stream_options');
  const place = top.members.find(({ key }) => key === 'stream_options');
  const injected = (edit: Edit): Streaming => ({ streams: true, edits: [edit], removesUsageChunk: true });
  if (place === undefined) return injected(insertMember(top, 'stream_options', ASKED));
  if (options === null) return injected({ from: place.valueFrom, to: place.valueTo, text: ASKED });
  if (!isRecord(options)) return invalid('`stream_options` must be an object.');
  const inner = membersOf(text, place.valueFrom);
  const refused = ambiguous(inner, INCLUDE_USAGE);
  if (refused !== undefined) return refused;
  const asked = inner.members.find(({ key }) => key === 'include_usage');
  if (asked === undefined) return injected(insertMember(inner, 'include_usage', 'true'));
  if (member(options, 'include_usage') === true)
    return { streams: true, edits: [], removesUsageChunk: false };
  return injected({ from: asked.valueFrom, to: asked.valueTo, text: 'true' });
}
