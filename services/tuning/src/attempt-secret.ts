/** What an attempt's trainer alone knows; only its hash is kept. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '@emotune/base';

export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

export function isSecret(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(secret), 'hex'), Buffer.from(hash, 'hex'));
}
