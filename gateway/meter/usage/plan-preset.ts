import type { Msat } from '../../../node/msat.ts';
import { unitsOfBytes } from './dialect.ts';
import { estimateInput } from './estimate-input.ts';
import { applyEdits, type Edit } from './json-members.ts';
import { ratesOfModel } from './model-rates.ts';
import { type Bound, boundEdits, readBound } from './output-bound.ts';
import type { MeteredRequest, RequestPlan } from './plan-types.ts';
import { affordableOutput, dearestInputMsat, type Rates, ratesOfPrice } from './rates.ts';
import { invalid, type JsonRequest, type RequestRefusal, readJsonRequest } from './read-request.ts';
import { endpointNames, endpointOf, PRICED_MEMBERS } from './request-forms.ts';
import { readStreaming, type Streaming } from './streaming-request.ts';
import type { PresetTerms } from './usage-terms.ts';

/** A request to a preset's endpoint, read and understood. */
interface Understood {
  readonly request: JsonRequest;
  readonly rates: Rates;
  readonly streaming: Streaming;
  readonly bound: Bound;
  /** Units of input that are reserved, and that are billed when the upstream never says. */
  readonly reservedInput: number;
  readonly estimatedInput: number;
}

/** Plans a request to an upstream whose wire form is known. */
export function planPreset(terms: PresetTerms, request: MeteredRequest): RequestPlan {
  const understood = understand(terms, request);
  if ('code' in understood) return { kind: 'refused', refusal: understood };
  const { rates, bound, reservedInput, streaming } = understood;
  const cost = (perAnswer: number) =>
    dearestInputMsat(
      rates,
      Math.min(reservedInput, terms.capUnits),
      Math.min(perAnswer * bound.copies, terms.capUnits),
    );
  const rewrites = terms.bound === 'rewrite' && bound.fields.length > 0;
  const neededMsat = cost(rewrites ? Math.min(bound.least, bound.perAnswer) : bound.perAnswer);
  const { balanceMsat } = request;
  if (balanceMsat !== undefined && balanceMsat < neededMsat) return { kind: 'insufficient', neededMsat };
  const perAnswer = rewrites ? allowedOutput(terms, understood, balanceMsat) : bound.perAnswer;
  const edits = [...streaming.edits, ...(rewrites ? boundEdits(bound, perAnswer) : [])];
  const body = edits.length === 0 ? request.body : edited(understood.request, edits);
  return {
    kind: 'planned',
    reserveMsat: cost(perAnswer),
    neededMsat,
    body,
    headersToSet: { 'accept-encoding': 'identity', 'content-length': String(body?.length ?? 0) },
    expected: {
      terms,
      rates,
      form: streaming.streams ? (terms.preset === 'ollama' ? 'lines' : 'sse') : 'json',
      removesUsageChunk: streaming.removesUsageChunk,
      estimatedInput: Math.min(understood.estimatedInput, reservedInput),
      reservedOutput: Math.min(perAnswer * bound.copies, terms.capUnits),
    },
  };
}

/** What of the bound the balance buys, for each answer. */
function allowedOutput(
  terms: PresetTerms,
  { rates, bound, reservedInput }: Understood,
  balanceMsat: Msat | undefined,
): number {
  if (balanceMsat === undefined) return bound.perAnswer;
  const units = affordableOutput(rates, balanceMsat, Math.min(reservedInput, terms.capUnits)) ?? 0;
  return Math.min(bound.perAnswer, Math.floor(units / bound.copies));
}

function edited(request: JsonRequest, edits: readonly Edit[]): Buffer {
  return Buffer.from(applyEdits(request.text, edits));
}

function understand(terms: PresetTerms, incoming: MeteredRequest): Understood | RequestRefusal {
  const endpoint = endpointOf(terms.preset, incoming.path);
  if (endpoint === undefined || incoming.method !== 'POST') return notMetered(terms);
  const refused = refuseBody(terms, incoming);
  if (refused !== undefined) return refused;
  const body = incoming.body ?? Buffer.alloc(0);
  const request = readJsonRequest(body, PRICED_MEMBERS[terms.preset]);
  if ('code' in request) return request;
  const rates = ratesFor(terms, request, incoming);
  if ('code' in rates) return rates;
  const streaming = readStreaming(terms.preset, endpoint, request);
  if ('code' in streaming) return streaming;
  const bound = readBound(terms, endpoint, request);
  if ('code' in bound) return bound;
  const { textBytes, mediaUnits, references } = estimateInput(request.document, body.length);
  return {
    request,
    rates,
    streaming,
    bound,
    reservedInput:
      Math.ceil(textBytes / terms.inputBytesPerUnit) + mediaUnits + references * terms.referenceUnits,
    estimatedInput: unitsOfBytes(textBytes) + mediaUnits,
  };
}

function notMetered(terms: PresetTerms): RequestRefusal {
  const message = `Only POST to ${endpointNames(terms.preset)} is sold here: the upstream reports no usage of anything else.`;
  return { code: 'not-metered', message };
}

function refuseBody(terms: PresetTerms, { headers, body }: MeteredRequest): RequestRefusal | undefined {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.trim().toLowerCase() !== 'identity') {
    return { code: 'encoded', message: 'Send the request body uncompressed: it must be read to be priced.' };
  }
  if (body !== undefined && body.length > terms.maxRequestBytes) {
    const message = `The request body is over ${terms.maxRequestBytes} bytes, which is the limit here.`;
    return { code: 'too-large', message };
  }
  return undefined;
}

/** A name that an upstream would read as it is written: no spaces around it that a kinder parser takes off. */
const MODEL_NAME = /^[\x21-\x7e]{1,256}$/;

function ratesFor(
  terms: PresetTerms,
  { document }: JsonRequest,
  incoming: MeteredRequest,
): Rates | RequestRefusal {
  const { model } = document;
  if (model !== undefined && model !== null && (typeof model !== 'string' || !MODEL_NAME.test(model))) {
    return invalid('`model` must be the name of a model: 1 to 256 printable characters without spaces.');
  }
  if (terms.models === undefined) return ratesOfPrice(incoming.price);
  const rates = typeof model === 'string' ? ratesOfModel(terms.models, model) : terms.models.others;
  if (rates !== undefined) return rates;
  const message =
    typeof model === 'string'
      ? `The model \`${model}\` is not sold here.`
      : '`model` is missing: prices go by the model here.';
  return { code: 'unknown-model', message };
}
