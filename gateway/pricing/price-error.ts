/**
 * A text that is not a price, or a price that can't be. `problem` says what is wrong without repeating what was written (which may
 * come from a secret by mistake); `nearest` is a legal form of it; the message has both.
 */
export class PriceError extends Error {
  readonly problem: string;
  /** What to write, legal as it stands. Made of what was written. */
  readonly nearest: string;

  constructor(problem: string, nearest: string) {
    super(`${problem}. Write for example \`${nearest}\`.`);
    this.name = 'PriceError';
    this.problem = problem;
    this.nearest = nearest;
  }
}
