/** Trainers show a token of their own; only its hash is kept. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '@emotune/base';

export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

export function isToken(token: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(token), 'hex'), Buffer.from(hash, 'hex'));
}
