import { compileRates, type RateCard, type Rates } from './rates.ts';

/** Rates by model name. Made by {@link compileModelRates}. */
export interface ModelRates {
  /** Lower-case full names. */
  readonly exact: ReadonlyMap<string, Rates>;
  /** Lower-case beginnings, longest first. */
  readonly prefixes: readonly (readonly [prefix: string, rates: Rates])[];
  /** For a model that nothing names; absent: it is refused before it is paid for. */
  readonly others?: Rates;
}

/**
 * Compiles an operator's table. A name may end in `*`: then it stands for every model whose name begins so, and the longest
 * beginning wins. Letters match in either case: some upstreams do not tell them apart, and a dear model must not become an unknown one.
 * @throws RangeError for a name that is empty, holds a `*` elsewhere, or stands twice.
 */
export function compileModelRates(cards: Readonly<Record<string, RateCard>>, others?: RateCard): ModelRates {
  const exact = new Map<string, Rates>();
  const prefixes = new Map<string, Rates>();
  for (const [name, card] of Object.entries(cards)) {
    const lower = name.toLowerCase();
    const isPrefix = lower.endsWith('*');
    const key = isPrefix ? lower.slice(0, -1) : lower;
    if (key === '' || key.includes('*')) {
      throw new RangeError(
        `\`${name}\` is not a model's name: write the whole name, or its beginning and \`*\``,
      );
    }
    const table = isPrefix ? prefixes : exact;
    if (table.has(key)) throw new RangeError(`the model \`${name}\` stands twice`);
    table.set(key, compileRates(card));
  }
  return {
    exact,
    prefixes: [...prefixes].sort(([a], [b]) => b.length - a.length),
    ...(others === undefined ? {} : { others: compileRates(others) }),
  };
}

/** The rates of a model; `undefined` when it is not for sale. A name without a tag also means the tag `latest` (Ollama). */
export function ratesOfModel(models: ModelRates, model: string): Rates | undefined {
  const name = model.toLowerCase();
  const known = models.exact.get(name) ?? models.exact.get(otherSpelling(name));
  if (known !== undefined) return known;
  for (const [prefix, rates] of models.prefixes) if (name.startsWith(prefix)) return rates;
  return models.others;
}

/** `llama3` and `llama3:latest` are one model. */
function otherSpelling(name: string): string {
  if (name.endsWith(':latest')) return name.slice(0, -':latest'.length);
  return name.includes(':') ? name : `${name}:latest`;
}
