/** Steps from the top of the configuration to a value: `['services', 0, 'price']`. */
export type KeyPath = readonly (string | number)[];

/** One thing that is wrong, before it is known where it was written. */
export interface Finding {
  readonly path: KeyPath;
  /** Goes on from the key: `is not a price`. */
  readonly problem: string;
  readonly remedy: string;
  /** Point at the key and not at its value. */
  readonly at?: 'key';
  /** The remedy is made of the value, so it is as secret as that. */
  readonly derived?: boolean;
}

/** One thing that is wrong with a configuration, where, and what to do. Holds no secret. */
export interface ConfigProblem {
  /** The file, or the flag. */
  readonly file: string;
  /** From 1; absent for flags. */
  readonly line?: number;
  /** From 1; absent for flags. */
  readonly column?: number;
  /** `services[0].price`; empty for the file as a whole. */
  readonly key: string;
  readonly problem: string;
  readonly remedy: string;
}

/** A configuration that can't be used. Carries every problem at once; its message is all of them, a line each. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `sluice.yaml:7:12: services[0].price (`10`) is not a price: the number has no unit. Write for example …` */
export function formatProblem({ file, line, column, key, problem, remedy }: ConfigProblem): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  return `${place}: ${key === '' ? '' : `${key} `}${problem}. ${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}${/[.?!]$/.test(remedy) ? '' : '.'}`;
}

/** `services[0].price` */
export function formatKey(path: KeyPath): string {
  let key = '';
  for (const step of path) key += typeof step === 'number' ? `[${step}]` : key === '' ? step : `.${step}`;
  return key;
}
