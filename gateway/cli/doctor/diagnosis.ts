/** What one check found. */
export interface Diagnosis {
  /** What was looked at: `data folder`. */
  readonly check: string;
  /** `warning`: it works, and may hurt some day, or could not be looked at. `problem`: the gateway does not start, or does not sell. */
  readonly status: 'ok' | 'warning' | 'problem';
  /** One sentence, without any secret. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** Makes the diagnoses of one check. */
export interface Scribe {
  ok(message: string): Diagnosis;
  warning(message: string, remedy: string): Diagnosis;
  problem(message: string, remedy: string): Diagnosis;
  /** It could not be looked at, for what another finding says, with its remedy. */
  skipped(message: string): Diagnosis;
}

/** A scribe for the check of that name. */
export function scribe(check: string): Scribe {
  return {
    ok: (message) => ({ check, status: 'ok', message }),
    warning: (message, remedy) => ({ check, status: 'warning', message, remedy }),
    problem: (message, remedy) => ({ check, status: 'problem', message, remedy }),
    skipped: (message) => ({ check, status: 'warning', message }),
  };
}

/** What a file of the configuration says. */
export interface CheckedFile {
  readonly found: readonly Diagnosis[];
  /** Read and understood; whether it holds today, the other side judges. */
  readonly usable: boolean;
}

/** Longer than any message of ours: others have no end to rely on. */
const MAX_REASON = 800;

/** Why something failed, in words; never the stack. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it failed without saying why';
  if ('code' in error && typeof error.code === 'string' && error.message === '') return error.code;
  return error.message.length > MAX_REASON ? `${error.message.slice(0, MAX_REASON)}…` : error.message;
}

/** The code of a system's error; empty when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
