/** What an importer is: examples from files in the format that a data set's owners publish, which the user has and we may not ship. */
import type { SourceExample, Split } from '@emotune/affect';
import { show, Violations } from '@emotune/base';
import { maker, type Skip } from '../corpora/corpus.js';

export interface ImportedFile {
  /** As the user has it, with the folders that it lies in. */
  readonly path: string;
  readonly text: string;
}

export interface Importer {
  readonly format: string;
  readonly title: string;
  /** The terms that its owners state, as `licenceTerms` knows them; empty where the files tell them. */
  readonly licence: string;
  readonly url: string;
  /** Such as is said where no file is of the format. */
  readonly files: string;
  /** What people should know of the data. */
  readonly notice?: string;
  /** Reads one file; undefined where it is none of the format. What it holds is read with all others of the import. */
  readonly read: (files: readonly ImportedFile[], into: Import) => void;
}

/** Kinds of wrong rows that are told. */
const reported = 20;

/** Takes what importers find. */
export class Import {
  readonly examples: SourceExample[] = [];
  readonly skipped: Record<string, number> = {};
  private readonly violations = new Violations();
  private wrong = 0;
  /** Files that were of the format. */
  private taken = 0;

  /** Name and licence are what the spec says; an importer may put in what the files tell where it says nothing. */
  constructor(
    public name: string,
    public licence: string,
    readonly field: string,
  ) {}

  /** Makes examples of a language. */
  maker(language: string): ReturnType<typeof maker> {
    return maker({ name: this.name, licence: this.licence, language });
  }

  take(): void {
    this.taken++;
  }

  readonly skip: Skip = (reason) => {
    this.skipped[reason] = (this.skipped[reason] ?? 0) + 1;
  };

  add(...examples: readonly SourceExample[]): void {
    for (const example of examples) this.examples.push(example);
  }

  /** Notes a row that cannot be read. */
  fault(file: ImportedFile, line: number, description: string): void {
    if (this.wrong++ < reported)
      this.violations.add(`${this.field} (${file.path}), line ${line}`, description);
  }

  /** @throws InvalidArgument with the first wrong rows, or where no file was of the format. */
  end({ format, files }: Importer, given: readonly ImportedFile[]): void {
    if (this.wrong > reported)
      this.violations.add(this.field, `${(this.wrong - reported).toLocaleString('en')} more rows are wrong`);
    if (this.taken === 0)
      this.violations.add(
        this.field,
        `expected files of ${format}, such as ${files}, got ${show(given.slice(0, 5).map(({ path }) => path))}${given.length > 5 ? ' and others' : ''}`,
      );
    this.violations.throwIfAny();
  }
}

export interface Line {
  readonly number: number;
  readonly cells: readonly string[];
}

/**
 * The rows of a file whose cells are divided by tabs and by nothing else: a quote is a character, also at the end of a cell, as tweets
 * have it. Blank lines are left out.
 */
export function tabbed({ text }: ImportedFile): Line[] {
  return text.split(/\r?\n/).flatMap((line, i) => {
    const written = i === 0 ? line.replace(/^\ufeff/, '') : line;
    return written.trim() === '' ? [] : [{ number: i + 1, cells: written.split('\t') }];
  });
}

/** The split that a file's name or its folder tells, as archives write them; undefined where it tells none. */
export function splitIn(path: string): Split | undefined {
  const words = path.toLowerCase().split(/[^a-z]+/);
  const told: Readonly<Record<string, Split>> = {
    train: 'train',
    training: 'train',
    dev: 'validation',
    development: 'validation',
    val: 'validation',
    valid: 'validation',
    validation: 'validation',
    trial: 'validation',
    test: 'test',
  };
  return words
    .reverse()
    .map((word) => (Object.hasOwn(told, word) ? told[word] : undefined))
    .find((split) => split !== undefined);
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** BCP 47 of a code as file names have it, such as eng or ptbr. */
export function languageOf(code: string): string | undefined {
  const own: Readonly<Record<string, string>> = {
    chn: 'zh',
    esp: 'es',
    oro: 'om',
    ptbr: 'pt-BR',
    ptmz: 'pt-MZ',
  };
  const lower = code.toLowerCase();
  if (Object.hasOwn(own, lower)) return own[lower];
  return /^[a-z]{2,3}$/.test(lower) ? Intl.getCanonicalLocales(lower)[0] : undefined;
}
