/** Matrices [n·n], row by row, of which the lower triangle counts. L is a lower factor: a matrix is L Lᵀ. */

/**
 * L⁻¹ b, in place, of the first b.length rows and columns of a lower factor [n·n]. Four rows at a time, whose sums then do not
 * wait for each other.
 */
export function forward(l: Float64Array, n: number, b: Float64Array): void {
  const size = b.length;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const r0 = i * n;
    const r1 = r0 + n;
    const r2 = r1 + n;
    const r3 = r2 + n;
    let b0 = b[i];
    let b1 = b[i + 1];
    let b2 = b[i + 2];
    let b3 = b[i + 3];
    for (let k = 0; k < i; k++) {
      const bk = b[k];
      b0 -= l[r0 + k] * bk;
      b1 -= l[r1 + k] * bk;
      b2 -= l[r2 + k] * bk;
      b3 -= l[r3 + k] * bk;
    }
    b0 /= l[r0 + i];
    b1 = (b1 - l[r1 + i] * b0) / l[r1 + i + 1];
    b2 = (b2 - l[r2 + i] * b0 - l[r2 + i + 1] * b1) / l[r2 + i + 2];
    b3 = (b3 - l[r3 + i] * b0 - l[r3 + i + 1] * b1 - l[r3 + i + 2] * b2) / l[r3 + i + 3];
    b[i] = b0;
    b[i + 1] = b1;
    b[i + 2] = b2;
    b[i + 3] = b3;
  }
  for (; i < size; i++) {
    let sum = b[i];
    for (let k = 0; k < i; k++) sum -= l[i * n + k] * b[k];
    b[i] = sum / l[i * n + i];
  }
}

/** Lower factor of a positive definite matrix [n·n], in place; entries above the diagonal stay as they are. */
export function cholesky(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const row = a.subarray(i * n, i * n + i);
    forward(a, n, row);
    let pivot = a[i * n + i];
    for (let k = 0; k < i; k++) pivot -= row[k] * row[k];
    // Rounding may leave a pivot a little below 0 where points nearly agree.
    a[i * n + i] = Math.sqrt(Math.max(pivot, 1e-12));
  }
}

/** Four rows of a [n·n], the first of them `row`, times b [n], of which columns `from` to `to` count. Their sums do not wait for each other. */
function timesFourRows(
  a: Float64Array,
  n: number,
  row: number,
  b: Float64Array,
  from: number,
  to: number,
  product: Float64Array,
  at: number,
): void {
  const r0 = row * n;
  const r1 = r0 + n;
  const r2 = r1 + n;
  const r3 = r2 + n;
  let p0 = 0;
  let p1 = 0;
  let p2 = 0;
  let p3 = 0;
  for (let k = from; k < to; k++) {
    const bk = b[k];
    p0 += a[r0 + k] * bk;
    p1 += a[r1 + k] * bk;
    p2 += a[r2 + k] * bk;
    p3 += a[r3 + k] * bk;
  }
  product[at] = p0;
  product[at + 1] = p1;
  product[at + 2] = p2;
  product[at + 3] = p3;
}

/** A lower triangle [n·n] times b [n], four rows at a time. */
export function lowerTimes(l: Float64Array, n: number, b: Float64Array, product: Float64Array): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    // Above the diagonal there is nothing.
    timesFourRows(l, n, i, b, 0, i + 4, product, i);
  }
  for (; i < n; i++) {
    let sum = 0;
    for (let k = 0; k <= i; k++) sum += l[i * n + k] * b[k];
    product[i] = sum;
  }
}

/** L⁻ᵀ b, in place. */
export function backward(l: Float64Array, n: number, b: Float64Array): void {
  for (let i = n - 1; i >= 0; i--) {
    b[i] /= l[i * n + i];
    for (let k = 0; k < i; k++) b[k] -= l[i * n + k] * b[i];
  }
}

/** L⁻ᵀ [n·n]: each row is a column of L⁻¹. */
function inverseTransposed(l: Float64Array, n: number, rows: Float64Array): void {
  rows.fill(0);
  for (let j = 0; j < n; j++) {
    const row = rows.subarray(j * n + j, j * n + n);
    row[0] = 1;
    forward(l.subarray(j * n + j), n, row);
  }
}

/** L⁻¹ [n·n]. */
export function inverseOfFactor(l: Float64Array, n: number): Float64Array {
  const transposed = new Float64Array(n * n);
  inverseTransposed(l, n, transposed);
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) inverse[i * n + j] = transposed[j * n + i];
  return inverse;
}

/** (L Lᵀ)⁻¹ [n·n], lower triangle, into `inverse`; `rows` [n·n] is overwritten. Four entries at a time. */
export function inverseFromFactor(
  l: Float64Array,
  n: number,
  inverse: Float64Array,
  rows: Float64Array,
): void {
  inverseTransposed(l, n, rows);
  for (let i = 0; i < n; i++) {
    const ri = i * n;
    const row = rows.subarray(ri, ri + n);
    let j = 0;
    for (; j + 4 <= i + 1; j += 4) {
      timesFourRows(rows, n, j, row, i, n, inverse, ri + j);
    }
    for (; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += rows[ri + k] * rows[j * n + k];
      inverse[ri + j] = sum;
    }
  }
}
