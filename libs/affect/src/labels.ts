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
