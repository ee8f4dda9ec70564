/** Milliseconds on a clock that all processes of the machine share, with fractions. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
