import { show, textFault, type Violation, Violations } from '@emotune/base';

/** The label sets of the sources, in canonical order. */
export const labelSets = {
  sentiment2: ['negative', 'positive'],
  sentiment3: ['negative', 'neutral', 'positive'],
  /** Ekman's six and neutral. */
  ekman: ['anger', 'disgust', 'fear', 'joy', 'neutral', 'sadness', 'surprise'],
  /** Plutchik's eight and neutral. */
  plutchik: ['anger', 'anticipation', 'disgust', 'fear', 'joy', 'neutral', 'sadness', 'surprise', 'trust'],
  red5: ['anger', 'fear', 'joy', 'neutral', 'sadness'],
} as const satisfies Record<string, readonly string[]>;

const mostLabels = 1000;
const longestLabel = 200;

/** As a label is known again whatever its case and spacing. */
export function foldedLabel(label: string): string {
  return label.toLowerCase().replace(/[\s_-]+/gu, '');
}

/** What is wrong with the labels that a file declares; `field` names the list. */
export function labelViolations(labels: readonly string[], field: string): readonly Violation[] {
  const violations = new Violations();
  violations.expect(
    labels.length >= 2,
    field,
    `expected every label that may occur (two at least), got ${show(labels)}`,
  );
  if (
    !violations.expect(
      labels.length <= mostLabels,
      field,
      `expected at most ${mostLabels} labels, got ${labels.length}`,
    )
  )
    return violations.list;
  labels.forEach((label, i) => {
    violations.expect(
      label.trim() === label && label !== '' && !/[|,\n]/.test(label),
      `${field}[${i}]`,
      `expected a label without "|", ",", line breaks and outer blanks, got ${show(label)}`,
    );
    violations.expect(
      label.length <= longestLabel,
      `${field}[${i}]`,
      `expected at most ${longestLabel} characters, got ${label.length}`,
    );
    violations.expect(textFault(label) === undefined, `${field}[${i}]`, textFault(label) ?? '');
    const alike = labels.findIndex((other) => foldedLabel(other) === foldedLabel(label));
    violations.expect(
      alike === i || labels[alike] === label,
      `${field}[${i}]`,
      `expected labels that differ in more than case and spacing, got ${show(label)} beside ${show(labels[alike])}`,
    );
    violations.expect(
      labels.indexOf(label) === i,
      `${field}[${i}]`,
      `expected each label once, got ${show(label)}`,
    );
  });
  return violations.list;
}

/** Between the labels of a row where they are one text and nothing else is said. */
export const defaultLabelSeparator = '|';

/** What is wrong with what divides the labels of a row; empty is the default. */
export function labelSeparatorViolations(
  separator: string,
  labels: readonly string[],
  field: string,
): readonly Violation[] {
  const torn = labels.find((label) => separator !== '' && label.includes(separator));
  if (torn === undefined) return [];
  return [
    {
      field,
      description: `expected a text that is in no label, got ${show(separator)}, which is in ${show(torn)}`,
    },
  ];
}
