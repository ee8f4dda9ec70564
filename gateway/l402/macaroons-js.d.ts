/**
 * The part of macaroons.js that may be used, and no more: it ships no types at its entry point. Its deserializer breaks
 * binary identifiers and its verifier accepts unsigned caveats, so neither is declared here.
 */
declare module 'macaroons.js' {
  class MacaroonsBuilder {
    /** `key` is the derived key, not the root key: the library would derive it only from a string. */
    constructor(location: string, key: Buffer, identifier: Buffer);
    add_first_party_caveat(caveat: string): MacaroonsBuilder;
    getMacaroon(): { readonly signatureBuffer: Buffer };
  }
  const macaroons: { readonly MacaroonsBuilder: typeof MacaroonsBuilder };
  export = macaroons;
}
