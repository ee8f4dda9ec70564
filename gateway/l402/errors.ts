/** Why a piece of the L402 protocol can't be read or made. Programs may branch on it. */
export type L402ErrorCode =
  /** The macaroon's identifier is not version 0, payment hash, token id. */
  | 'bad-identifier'
  /** The bytes are not one canonical V2 macaroon with first-party caveats only. */
  | 'bad-macaroon'
  /** Over `MAX_MACAROON_BYTES` or `MAX_CAVEATS` of macaroon.ts. */
  | 'macaroon-too-large'
  /** The text is neither standard nor url-safe base64. */
  | 'bad-base64'
  /** A master key, root key or store generation has the wrong size. */
  | 'bad-key'
  /** Terms that can't be written as caveats. */
  | 'bad-terms'
  /** A `WWW-Authenticate` or `Authorization` value that can't be read or made. */
  | 'bad-challenge';

/** The only error that the codecs of this folder throw. Its message never holds a macaroon, preimage or key. */
export class L402Error extends Error {
  readonly code: L402ErrorCode;

  constructor(code: L402ErrorCode, message: string) {
    super(message);
    this.name = 'L402Error';
    this.code = code;
  }
}
