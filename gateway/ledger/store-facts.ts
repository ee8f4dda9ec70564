/** What a store says of itself, read without opening it: nothing is written, and no epoch is raised. */
export interface StoreFacts {
  readonly generation: string;
  readonly epoch: number;
  /** Unix seconds: the latest moment that the store wrote down. */
  readonly clockSec: number;
  /** Of the master keys that it knows. */
  readonly keyFingerprints: readonly string[];
}
