/** The normalizer of a `tokenizer.json`. Replacements are ours, since their patterns come with the file; the rest is the library's. */
import type { Effort } from './effort.js';
import { libraryWith, regexOf, stepsOf } from './library-part.js';
import { Pattern } from './pattern.js';
import { type Json, wrong } from './token-model.js';

export type Normalize = (text: string, effort: Effort) => string;

const part = 'normalizer';

function replacer(step: Json): Normalize {
  const { content, pattern } = step as { content: string; pattern: { String: string } };
  const regex = regexOf(step);
  if (regex === undefined) {
    if (pattern.String === '') throw wrong(`${part}: Replace: pattern`, 'expected text, got none');
    return (text, effort) => {
      const kept = text.split(pattern.String);
      effort.write(part, text.length + (kept.length - 1) * content.length);
      return kept.join(content);
    };
  }
  const compiled = Pattern.parse(regex, `tokenizer.json: ${part}: Replace: pattern`);
  return (text, effort) => {
    const found = compiled.matches(text, effort.steps);
    effort.write(part, text.length + (found.length / 2) * content.length);
    let [written, done] = ['', 0];
    for (let i = 0; i < found.length; i += 2) {
      written += text.slice(done, found[i]) + content;
      done = found[i + 1];
    }
    return written + text.slice(done);
  };
}

function stepOf(step: Json): Normalize {
  if (step['type'] === 'Replace') return replacer(step);
  if (step['type'] === 'Prepend') {
    const prefix = step['prepend'] as string;
    return (text, effort) => {
      effort.write(part, text.length + prefix.length);
      return text === '' ? '' : prefix + text;
    };
  }
  const library = libraryWith(part, step).getNormalizer()!;
  return (text, effort) => {
    const written = library.normalizeString(text);
    effort.write(part, written.length);
    return written;
  };
}

/** @throws InvalidArgument */
export function normalizerOf(json: unknown): Normalize {
  const steps = stepsOf(part, json, 'normalizers').map(stepOf);
  return (text, effort) => steps.reduce((written, step) => step(written, effort), text);
}
