/** The part of macaroons.js that the tests use: it ships no types at its entry point. */
declare module 'macaroons.js' {
  class Macaroon {
    readonly signatureBuffer: Buffer;
  }
  class MacaroonsBuilder {
    constructor(location: string, secretKey: Buffer | string, identifier: string);
    add_first_party_caveat(caveat: string): MacaroonsBuilder;
    getMacaroon(): Macaroon;
  }
  const macaroons: { readonly MacaroonsBuilder: typeof MacaroonsBuilder };
  export = macaroons;
}
