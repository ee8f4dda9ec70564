import { type Edit, insertMember, type Member, membersOf, type ObjectMembers } from './json-members.ts';
import { ambiguous, invalid, isRecord, type JsonRequest, type RequestRefusal } from './read-request.ts';
import type { Endpoint } from './request-forms.ts';
import type { PresetTerms } from './usage-terms.ts';

/** How much a request lets the upstream put out. */
export interface Bound {
  /** Units an answer: the request's own bound, or what is assumed when it has none. */
  readonly perAnswer: number;
  readonly copies: number;
  /** The least bound that is worth asking for. */
  readonly least: number;
  /** Names that the endpoint knows a bound by. */
  readonly fields: readonly string[];
  /** Bounds that stand in the request, with the number each of them says; `undefined` for none. */
  readonly standing: readonly { readonly member: Member; readonly units: number | undefined }[];
  /** Where a bound is put when none stands there. */
  readonly missing: (units: number) => Edit;
}

/**
 * Reads the bounds of a request. When it has several, the largest counts: an upstream may honour any of them. A bound that means "as much as
 * you like" (−1, null, and 0 where the upstream says so) is none.
 */
export function readBound(
  terms: PresetTerms,
  endpoint: Endpoint,
  request: JsonRequest,
): Bound | RequestRefusal {
  const copies = endpoint.copies(request.document);
  if (copies === undefined) return invalid('`n` and `best_of` must be whole numbers from 1.');
  const place = boundPlace(endpoint, request);
  if ('code' in place) return place;
  const { object, values, wrap } = place;
  const standing = (object?.members ?? [])
    .filter(({ key }) => endpoint.bounds.includes(key))
    .map((member) => ({ member, units: unitsOf(values[member.key], endpoint) }));
  const said = standing.flatMap(({ units }) => (units === undefined ? [] : [units]));
  const assumed = endpoint.bounds.length === 0 ? 0 : terms.estimateUnits;
  // Where several stand and one of them is none, the upstream may go by that one.
  const largest = said.length === standing.length ? Math.max(...said, 0) : Math.max(...said, assumed);
  const name = terms.boundField ?? endpoint.bounds[0] ?? '';
  return {
    perAnswer: Math.min(standing.length === 0 ? assumed : largest, terms.capUnits),
    copies,
    least: endpoint.leastBound(request.document),
    fields: endpoint.bounds,
    standing,
    missing: (units) => wrap(name, units),
  };
}

/** The edits that hold a request to `perAnswer` units an answer. */
export function boundEdits(bound: Bound, perAnswer: number): readonly Edit[] {
  if (bound.standing.length === 0) return [bound.missing(perAnswer)];
  return bound.standing
    .filter(({ units }) => units === undefined || units > perAnswer)
    .map(({ member }) => ({ from: member.valueFrom, to: member.valueTo, text: String(perAnswer) }));
}

interface BoundPlace {
  /** The object in which bounds stand; `undefined` when the request has none. */
  readonly object: ObjectMembers | undefined;
  readonly values: Readonly<Record<string, unknown>>;
  readonly wrap: (name: string, units: number) => Edit;
}

function boundPlace(endpoint: Endpoint, { text, top, document }: JsonRequest): BoundPlace | RequestRefusal {
  const { container } = endpoint;
  if (container === undefined) {
    return { object: top, values: document, wrap: (name, units) => insertMember(top, name, String(units)) };
  }
  const standing = top.members.find(({ key }) => key === container);
  const values = document[container];
  const whole = (name: string, units: number) => JSON.stringify({ [name]: units });
  if (standing === undefined) {
    return {
      object: undefined,
      values: {},
      wrap: (name, units) => insertMember(top, container, whole(name, units)),
    };
  }
  const { valueFrom: from, valueTo: to } = standing;
  if (values === null) {
    return { object: undefined, values: {}, wrap: (name, units) => ({ from, to, text: whole(name, units) }) };
  }
  if (!isRecord(values)) return invalid(`\`${container}\` must be an object.`);
  const object = membersOf(text, from);
  const refused = ambiguous(object, new Set(endpoint.bounds));
  return refused ?? { object, values, wrap: (name, units) => insertMember(object, name, String(units)) };
}

function unitsOf(value: unknown, endpoint: Endpoint): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value) || value < 0) return undefined;
  return value === 0 && endpoint.zeroMeans === 'no-bound' ? undefined : Math.ceil(value);
}
