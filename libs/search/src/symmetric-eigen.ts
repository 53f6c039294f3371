/**
 * Eigenvalues and eigenvectors of a symmetric matrix [n·n] by cyclic Jacobi rotations (Golub and Van Loan 2013,
 * algorithm 8.5.3). Column k of `vectors` [n·n] belongs to `values[k]`; values below 1e-20 are raised to it, so that
 * roots and inverses exist.
 */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
): { values: Float64Array; vectors: Float64Array } {
  const a = matrix.slice();
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    let all = 0;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        all += a[i * n + j] ** 2;
        if (i !== j) off += a[i * n + j] ** 2;
      }
    if (off <= 1e-30 * all) break;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (a[p * n + q] === 0) continue;
        const tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.hypot(1, tau));
        const c = 1 / Math.hypot(1, t);
        const s = t * c;
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k * n + p], a[k * n + q]];
          a[k * n + p] = c * x - s * y;
          a[k * n + q] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p * n + k], a[q * n + k]];
          a[p * n + k] = c * x - s * y;
          a[q * n + k] = s * x + c * y;
          const [u, v] = [vectors[k * n + p], vectors[k * n + q]];
          vectors[k * n + p] = c * u - s * v;
          vectors[k * n + q] = s * u + c * v;
        }
      }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => Math.max(a[i * n + i], 1e-20)), vectors };
}
