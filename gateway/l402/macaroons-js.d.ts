/**
 * The part of macaroons.js that may be used, and no more: it ships no types at its entry point. Its deserializer breaks
 * binary identifiers and its verifier accepts unsigned caveats, so neither is declared here.
 */
declare module 'macaroons.js' {
  type KeyObject = import('node:crypto').KeyObject;

  class Macaroon<Signature> {
    /** `signature` keys the next step of the chain. */
    constructor(location: string, identifier: string, signature: Signature);
    readonly signatureBuffer: Signature;
  }
  class MacaroonsBuilder {
    static modify(macaroon: Macaroon<KeyObject>): MacaroonsBuilder;
    /** A text would be read as UTF-8. */
    add_first_party_caveat(caveat: Buffer): MacaroonsBuilder;
    getMacaroon(): Macaroon<Buffer>;
  }
  const macaroons: {
    readonly Macaroon: typeof Macaroon;
    readonly MacaroonsBuilder: typeof MacaroonsBuilder;
  };
  export = macaroons;
}
