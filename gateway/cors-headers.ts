/** Headers of ours that a page's script may read, as `Access-Control-Expose-Headers` lists them. */
export const EXPOSED_HEADERS =
  'WWW-Authenticate, Payment-Receipt, L402-Balance-Msat, L402-Price, Retry-After';
