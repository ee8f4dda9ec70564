/** The part of secp256k1 that is used. It ships no types. */
declare module 'secp256k1' {
  const secp256k1: {
    /**
     * @param signature - 64 bytes: r and s, s on either side of half the order
     * @param recovery - 0 to 3
     * @param digest - 32 bytes
     * @returns a compressed key, 33 bytes
     * @throws Error when no key comes from it
     */
    ecdsaRecover(signature: Uint8Array, recovery: number, digest: Uint8Array): Uint8Array;
    /**
     * False for an s above half the order.
     * @throws Error for a signature or a key that is none
     */
    ecdsaVerify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean;
  };
  export = secp256k1;
}
