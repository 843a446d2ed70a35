/** 64-bit integers as two 32-bit halves, without BigInt. */

const TWO_32 = 4294967296;

/** The upper 32 bits of `billions * 1e9 + ones`; both not negative, billions < 2^34, ones < 2^30. */
export function high64(billions: number, ones: number): number {
  const upper = Math.floor(billions / 65536);
  const product = upper * 1e9;
  const carried = Math.floor(product / 65536);
  const low = (product - carried * 65536) * 65536 + (billions - upper * 65536) * 1e9 + ones;
  return (carried + Math.floor(low / TWO_32)) | 0;
}

/** The lower 32 bits of `billions * 1e9 + ones`, as a signed integer. */
export function low64(billions: number, ones: number): number {
  const upper = Math.floor(billions / 65536);
  // 1e9 * 65536 = 2^25 * 1953125: only the low 7 bits of `upper` reach the lower half.
  return (Math.imul(upper, 0xca000000 | 0) + ((billions - upper * 65536) * 1e9 + ones)) | 0;
}
