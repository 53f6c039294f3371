/** Who users are and what they may do: their tokens are checked by who gave them out, their roles stand in a file. */
import { readFileSync } from 'node:fs';
import { InvalidArgument, parse, Unauthenticated } from '@emotune/base';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import type { Log } from './log.js';
import { type Role, roles } from './roles.js';

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** One who gives tokens out. */
export interface Issuer {
  /** Whether a token looks like one of its own; it is asked in no other case. */
  knows(token: string): boolean;
  /** @throws Unauthenticated when the token is not accepted; Unavailable when nobody can tell now */
  user(token: string): Promise<User>;
}

const members = z.strictObject({
  users: z.array(z.string().min(1)).default([]),
  groups: z.array(z.string().min(1)).default([]),
});
const rolesFile = z.strictObject({
  viewer: members.optional(),
  editor: members.optional(),
  admin: members.optional(),
});

type Bindings = z.output<typeof rolesFile>;

/** Stands for everybody whose token is accepted. */
const everybody = '*';

/** @throws InvalidArgument naming what is wrong in the file */
export function bindingsIn(text: string): Bindings {
  let found: unknown;
  try {
    found = parseYaml(text);
  } catch (cause) {
    throw InvalidArgument.at('', `expected YAML, got ${(cause as Error).message.split('\n', 1)[0]}`, {
      cause,
    });
  }
  return parse(rolesFile, found ?? {});
}

/** The highest role that a user has, by name or by group. */
export function roleIn(bindings: Bindings, { name, groups }: User): Role | undefined {
  const has = (role: Role) =>
    bindings[role]?.users.some((each) => each === name || each === everybody) ||
    bindings[role]?.groups.some((each) => groups.includes(each));
  return roles.findLast(has);
}

/** It is looked into again after this time, so that a change needs no restart. */
const lookEveryMs = 1000;

/** The roles of a file. One that became wrong leaves those before. */
export class RolesFile {
  private bindings: Bindings;
  private text: string;
  private lookedAt = performance.now();

  /** @throws InvalidArgument naming EMOTUNE_ROLES_FILE */
  constructor(
    private readonly file: string,
    private readonly log: Log,
  ) {
    this.text = this.read();
    this.bindings = this.understood(this.text);
  }

  private read(): string {
    try {
      return readFileSync(this.file, 'utf8');
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw InvalidArgument.at('EMOTUNE_ROLES_FILE', `expected a file that can be read, got ${code}`, {
        cause,
      });
    }
  }

  private understood(text: string): Bindings {
    try {
      return bindingsIn(text);
    } catch (error) {
      if (!(error instanceof InvalidArgument)) throw error;
      throw new InvalidArgument(
        error.violations.map(({ field, description }) => ({
          field: field === '' ? 'EMOTUNE_ROLES_FILE' : `EMOTUNE_ROLES_FILE: ${field}`,
          description,
        })),
      );
    }
  }

  private look(): void {
    const now = performance.now();
    if (now - this.lookedAt < lookEveryMs) return;
    this.lookedAt = now;
    try {
      const text = this.read();
      if (text === this.text) return;
      this.text = text;
      this.bindings = this.understood(text);
      this.log.info('the roles were read again');
    } catch (error) {
      this.log.error('the roles cannot be read: those before stay', { reason: (error as Error).message });
    }
  }

  roleOf(user: User): Role | undefined {
    this.look();
    return roleIn(this.bindings, user);
  }
}

/** Users by the issuers of their tokens, with their roles. */
export class Users {
  constructor(
    private readonly issuers: readonly Issuer[],
    private readonly roles: Pick<RolesFile, 'roleOf'>,
  ) {}

  /** @throws Unauthenticated, Unavailable */
  async find(token: string): Promise<{ readonly name: string; readonly role: Role | undefined }> {
    const issuer = this.issuers.find((each) => each.knows(token));
    if (!issuer) throw new Unauthenticated('expected a token of an issuer that is known here, got another');
    const user = await issuer.user(token);
    return { name: user.name, role: this.roles.roleOf(user) };
  }
}
