/** The token of a platform: in the environment, or in a file that its owner alone can read. */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InvalidArgument, syncToDisk } from '@emotune/base';

/** In a data folder. */
export const tokenFile = 'token';

/** 32 to 8192 characters that can stand in a header. */
export const tokenPattern = /^[\x21-\x7e]{32,8192}$/;

export const tokenExpectation = 'expected 32 to 8192 letters, digits and signs of ASCII without spaces';

export interface TokenVariables {
  readonly EMOTUNE_TOKEN?: string | undefined;
  readonly EMOTUNE_TOKEN_FILE?: string | undefined;
}

function checked(text: string, field: string): string {
  const token = text.trim();
  if (!tokenPattern.test(token))
    throw InvalidArgument.at(field, `${tokenExpectation}, got ${token.length} characters`);
  return token;
}

/** @throws InvalidArgument, naming the variable; never the token. */
export async function tokenOf({
  EMOTUNE_TOKEN: token,
  EMOTUNE_TOKEN_FILE: file,
}: TokenVariables): Promise<string | undefined> {
  if (token) return checked(token, 'EMOTUNE_TOKEN');
  if (!file) return undefined;
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw InvalidArgument.at('EMOTUNE_TOKEN_FILE', `expected a file that can be read, got ${cause.code}`, {
      cause,
    });
  });
  return checked(text, 'EMOTUNE_TOKEN_FILE');
}

/** What a file holds; undefined where there is none that this user may read. @throws InvalidArgument when it is no token. */
export async function tokenIn(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch((error) => {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(error.code)) return undefined;
    throw error;
  });
  return text === undefined ? undefined : checked(text, file);
}

/** Makes the file where there is none, whole or not at all; of those who do so at once one wins. Others may not have read it. */
export async function makeToken(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  // Whoever could read it may know it.
  if (found && (found.mode & 0o077) !== 0) await rm(file, { force: true });
  const known = await tokenIn(file);
  if (known !== undefined) return known;
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(32).toString('base64url')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await link(temporary, file).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(temporary);
  await syncToDisk(dirname(file));
  return (await tokenIn(file))!;
}
